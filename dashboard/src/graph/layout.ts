import { layout as dagre, Graph } from '@dagrejs/dagre'

import { fansOf, placeInFan, siblings } from './fans'
import { moved, withLanes } from './lanes'
import { gap, grid, layered } from './layers'
import { type Direction, type Layout, type LayoutRequest, nodeSize } from './placement'
import { type EdgeRoles, rolesOf } from './spine'
import { wrapped } from './wrap'

/** Above this many nodes dagre is too slow; a layered layout is as readable. */
const dagreAtMost = 400

export function layOut(request: LayoutRequest): Layout {
  const hasRooms = (request.rooms?.size ?? 0) > 0
  if (request.edges.length === 0 && !hasRooms) return grid(request)
  if (request.ids.length > dagreAtMost) return layered(request, request.direction === 'auto' ? 'LR' : request.direction)
  if (request.direction !== 'auto') return laid(request, request.direction)
  const across = laid(request, 'LR')
  const down = laid(request, 'TB')
  // Left to right is easier to read, so it is preferred unless it is clearly smaller. A layout that was broken
  // into rows has to be larger to be preferred.
  const favour = across.routes === undefined ? 1.15 : 0.85
  return zoomOf(across, request) * favour >= zoomOf(down, request) ? across : down
}

function laid(request: LayoutRequest, direction: Direction): Layout {
  const roles = rolesOf(request.ids.length, request.edges)
  const layout = moved(straightened(withDagre(request, direction, roles), roles))
  return withLanes(wrapped(layout, request), request.edges, roles)
}

/** The zoom at which a layout fits into the available space. */
function zoomOf({ size }: Layout, { space }: LayoutRequest): number {
  return Math.min(1, space.width / size.width, space.height / size.height)
}

interface Dagre extends Layout {
  /** Of the layer in which each node stands: nodes of one layer have the same middle, however large they are. */
  readonly middles: readonly number[]
}

/**
 * By dagre, without the edges that lead back or over a chain: those would bend what they pass. Wide fans are blocks, and
 * nodes between the same neighbours stand in the order of their definition.
 */
function withDagre(request: LayoutRequest, direction: Direction, roles: EdgeRoles): Dagre {
  const { ids, edges, rooms } = request
  const isLaidOut = (at: number) => !roles.back.has(at) && !roles.over.has(at)
  const forward = edges.filter((_, at) => isLaidOut(at))
  const fans = fansOf({ ...request, edges: forward }, direction)
  const fanOf = new Map(fans.flatMap((fan) => fan.members.map((member) => [member, fan] as const)))
  const nameOf = (node: number) => String(fanOf.get(node)?.members[0] ?? node)
  const graph = new Graph({ multigraph: true })
  graph.setGraph({
    rankdir: direction,
    nodesep: gap.node,
    ranksep: direction === 'LR' ? gap.rank : gap.rank - 8,
    edgesep: 14,
    marginx: 0,
    marginy: 0,
  })
  ids.forEach((_, node) => {
    const fan = fanOf.get(node)
    if (fan === undefined || fan.members[0] === node)
      graph.setNode(nameOf(node), { ...(fan?.size ?? rooms?.get(node) ?? nodeSize) })
  })
  // As early as possible, like time: dagre by itself would put a node that no other waits for next to the end.
  const span = (from: number, to: number) => Math.max(1, (roles.layers[to] ?? 0) - (roles.layers[from] ?? 0))
  edges.forEach(([from, to], at) => {
    if (isLaidOut(at)) graph.setEdge(nameOf(from), nameOf(to), { minlen: span(from, to) }, nameOf(from) + nameOf(to))
  })
  dagre(graph)
  const main = direction === 'LR' ? 'x' : 'y'
  const middleOf = (node: number) => {
    const { x = 0, y = 0 } = graph.node(nameOf(node)) as { x?: number; y?: number }
    return { x, y }
  }
  // Mirrored, it is the same drawing: whichever has more branches in the order of their definition.
  const side = sideOf(forward, (node) => middleOf(node)[main === 'x' ? 'y' : 'x'])
  const turned = ({ x, y }: { x: number; y: number }) =>
    main === 'x' ? ([x, y * side] as const) : ([x * side, y] as const)
  const positions = ids.map((_, node) => {
    const fan = fanOf.get(node)
    const [x, y] = turned(middleOf(node))
    const { width, height } = fan?.size ?? rooms?.get(node) ?? nodeSize
    const [right, down] = fan === undefined ? [0, 0] : placeInFan(fan, fan.members.indexOf(node))
    return [x - width / 2 + right, y - height / 2 + down] as const
  })
  const bends = edges.map(([from, to], at) => {
    if (!isLaidOut(at) || fanOf.has(from) || fanOf.has(to)) return []
    const { points = [] } = graph.edge(nameOf(from), nameOf(to), nameOf(from) + nameOf(to)) as {
      points?: { x: number; y: number }[]
    }
    return points.map(turned)
  })
  const middles = ids.map((_, node) => middleOf(node)[main])
  const blocks = fans.length + (rooms?.size ?? 0)
  const laidOut = { direction, positions, bends, blocks, ...(rooms && { rooms }), size: { width: 0, height: 0 } }
  return { ...inDefinitionOrder(laidOut, edges, forward), middles }
}

/** -1 if more neighbouring branches of a node stand against the order of their definition than in it. */
function sideOf(forward: LayoutRequest['edges'], cross: (node: number) => number): 1 | -1 {
  const last = new Map<number, number>()
  let inOrder = 0
  for (const [from, to] of forward) {
    const before = last.get(from)
    if (before !== undefined) inOrder += Math.sign(cross(to) - cross(before))
    last.set(from, to)
  }
  return inOrder < 0 ? -1 : 1
}

/** Exchanges nodes between the same neighbours, each with its edges, so that they are in the order of their definition. */
function inDefinitionOrder(layout: Layout, edges: LayoutRequest['edges'], forward: LayoutRequest['edges']): Layout {
  const positions = [...layout.positions]
  const bends = [...layout.bends]
  const edgeAt = new Map(edges.map(([from, to], at) => [`${from} ${to}`, at]))
  const cross = (node: number) => layout.positions[node]?.[layout.direction === 'LR' ? 1 : 0] ?? 0
  for (const members of siblings(layout.positions.length, forward)) {
    const asPlaced = [...members].sort((a, b) => cross(a) - cross(b))
    const isBlock = new Set(members.map((node) => layout.positions[node]?.[layout.direction === 'LR' ? 0 : 1])).size > 1
    if (isBlock || members.some((node) => layout.rooms?.has(node) === true)) continue
    members.forEach((node, index) => {
      const there = asPlaced[index] ?? node
      positions[node] = layout.positions[there] ?? [0, 0]
      edges.forEach(([from, to], at) => {
        if (from !== node && to !== node) return
        const instead = edgeAt.get(from === node ? `${there} ${to}` : `${from} ${there}`)
        if (instead !== undefined) bends[at] = layout.bends[instead] ?? []
      })
    })
  }
  return { ...layout, positions, bends }
}

/**
 * Moves whole layers across, so that the nodes through which every way leads are on one line. Layers without one move
 * as their neighbours do; nothing within a layer moves, so nothing comes to lie on anything.
 */
function straightened({ middles, ...layout }: Dagre, { spine }: EdgeRoles): Layout {
  const [main, other] = layout.direction === 'LR' ? [0, 1] : [1, 0]
  const anchors = [...spine].sort((a, b) => a[0] - b[0])
  const line = layout.positions[anchors[0]?.[1] ?? 0]?.[other] ?? 0
  /** By how much each position along the layout moves, in the order of these. */
  const shifts = anchors.map(([, node]) => ({
    at: middles[node] ?? 0,
    by: line - (layout.positions[node]?.[other] ?? 0),
  }))
  const shiftAt = (at: number): number => {
    const next = shifts.findIndex((shift) => shift.at >= at)
    const [before, after] = [shifts[next < 0 ? shifts.length - 1 : next - 1], shifts[next]]
    if (before === undefined || after === undefined) return (before ?? after)?.by ?? 0
    return before.by + ((after.by - before.by) * (at - before.at)) / Math.max(1, after.at - before.at)
  }
  const move = ([x, y]: readonly [number, number], by: number) =>
    layout.direction === 'LR' ? ([x, y + by] as const) : ([x + by, y] as const)
  return {
    ...layout,
    positions: layout.positions.map((position, node) => move(position, shiftAt(middles[node] ?? 0))),
    bends: layout.bends.map((points) => points.map((bend) => move(bend, shiftAt(bend[main] ?? 0)))),
  }
}
