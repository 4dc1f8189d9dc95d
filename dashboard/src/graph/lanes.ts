import { boundsOf, type Layout, type LayoutRequest, nodeSize } from './placement'
import type { EdgeRoles } from './spine'

type Point = readonly [number, number]

/** From the nodes to the first edge beside them, and from edge to edge. */
const [firstGap, nextGap] = [26, 14]
/** Edges that leave or enter a node at the same side stand this far apart. */
const aside = 22
/** Beyond this many, the edges beside the nodes would take more room than the nodes. */
const lanesAtMost = 60

/**
 * Leads edges back and over chains beside the nodes that they pass: below and above in a layout from left to right, to
 * the right and to the left in one from top to bottom. The shortest are nearest to the nodes.
 */
export function withLanes(layout: Layout, edges: LayoutRequest['edges'], { back, over }: EdgeRoles): Layout {
  const bends = [...layout.bends]
  const outside = new Set<number>()
  for (const [roles, side] of [
    [back, 1],
    [over, -1],
  ] as const) {
    if (roles.size > lanesAtMost) continue
    const beside = [...roles].filter((at) => layout.routes?.[at] === undefined)
    const spans = beside.map((at) => ({ at, span: spanOf(layout, edges[at]) })).sort((a, b) => a.span - b.span)
    const used: Used[] = []
    for (const { at } of spans) {
      const edge = edges[at]
      if (edge === undefined) continue
      bends[at] = lane(layout, edge, side, used)
      outside.add(at)
    }
  }
  // What is broken into rows has ways between them, which cannot be moved.
  return layout.routes === undefined ? moved({ ...layout, bends, outside }) : { ...layout, bends, outside }
}

/** The position along the layout, and across it. */
const [along, across] = [
  (layout: Layout, [x, y]: Point) => (layout.direction === 'LR' ? x : y),
  (layout: Layout, [x, y]: Point) => (layout.direction === 'LR' ? y : x),
]
const point = (layout: Layout, main: number, cross: number): Point =>
  layout.direction === 'LR' ? [main, cross] : [cross, main]

function spanOf(layout: Layout, edge: readonly [number, number] | undefined): number {
  const [from, to] = [layout.positions[edge?.[0] ?? 0], layout.positions[edge?.[1] ?? 0]]
  return from === undefined || to === undefined ? 0 : Math.abs(along(layout, to) - along(layout, from))
}

interface Used {
  readonly row: number | undefined
  readonly from: number
  readonly to: number
  readonly cross: number
}

function lane(layout: Layout, [from, to]: readonly [number, number], side: 1 | -1, used: Used[]): readonly Point[] {
  const placeOf = (node: number): Point => layout.positions[node] ?? [0, 0]
  const [source, target] = [placeOf(from), placeOf(to)]
  const [length, breadth] =
    layout.direction === 'LR' ? [nodeSize.width, nodeSize.height] : [nodeSize.height, nodeSize.width]
  // Away from the middle, where edges of other nodes may enter.
  const offset = side === 1 ? (from === to ? aside : aside / 2) : -aside / 2
  const [start, end] = [along(layout, source) + length / 2 + offset, along(layout, target) + length / 2 - offset]
  const [low, high] = [Math.min(start, end) - length / 2, Math.max(start, end) + length / 2]
  const edge = (position: Point) => across(layout, position) + (side === 1 ? breadth : 0)
  let beside = side === 1 ? Math.max(edge(source), edge(target)) : Math.min(edge(source), edge(target))
  layout.positions.forEach((position, node) => {
    if (layout.rows?.[node] !== layout.rows?.[from]) return
    const { width, height } = layout.rooms?.get(node) ?? nodeSize
    const [at, takes, wide] = layout.direction === 'LR' ? [position[0], width, height] : [position[1], height, width]
    if (at + takes < low || at > high) return
    beside = side === 1 ? Math.max(beside, across(layout, position) + wide) : Math.min(beside, across(layout, position))
  })
  let cross = beside + side * firstGap
  for (const other of used)
    if (other.row === layout.rows?.[from] && other.to >= low && other.from <= high)
      cross = side * Math.max(side * cross, side * (other.cross + side * nextGap))
  used.push({ from: low, to: high, cross, row: layout.rows?.[from] })
  return [
    point(layout, start, edge(source)),
    point(layout, start, cross),
    point(layout, end, cross),
    point(layout, end, edge(target)),
  ]
}

/** So that nothing is left of or above zero, and the size is that of all there is. */
export function moved(layout: Layout): Layout {
  const { x, y, width, height } = boundsOf(layout)
  const move = ([px, py]: Point): Point => [px - x, py - y]
  return {
    ...layout,
    positions: layout.positions.map(move),
    bends: layout.bends.map((points) => points.map(move)),
    size: { width, height },
  }
}
