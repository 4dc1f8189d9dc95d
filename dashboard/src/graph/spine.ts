import { longestPaths } from './layers'
import type { LayoutRequest } from './placement'

type Edges = LayoutRequest['edges']

/** What the edges of a graph are for its layout, by their positions in the list. */
export interface EdgeRoles {
  /** Lead back to where the run has been, or to the node itself: they run below, outside of the nodes. */
  readonly back: ReadonlySet<number>
  /** Pass over a chain of single nodes: they run above it, so that the chain stays straight. */
  readonly over: ReadonlySet<number>
  /** The layer of each node. */
  readonly layers: readonly number[]
  /** By layer: the one node through which every way to the end leads there; all of them stand on one line. */
  readonly spine: ReadonlyMap<number, number>
}

export function rolesOf(count: number, edges: Edges): EdgeRoles {
  const layers = longestPaths(count, edges)
  const layerOf = (node: number) => layers[node] ?? 0
  const back = new Set(edges.flatMap(([from, to], at) => (layerOf(from) < layerOf(to) ? [] : [at])))
  const forward = edges.filter((_, at) => !back.has(at))
  const deepest = layers.reduce((best, layer) => Math.max(best, layer), 0)
  const ways = waysToLayer(count, forward, layers, deepest)
  const inLayer = new Map<number, number[]>()
  for (const node of ways) inLayer.set(layerOf(node), [...(inLayer.get(layerOf(node)) ?? []), node])
  const isSingle = (layer: number) => inLayer.get(layer)?.length === 1
  const between = ([from, to]: readonly [number, number]) =>
    Array.from({ length: layerOf(to) - layerOf(from) - 1 }, (_, step) => layerOf(from) + 1 + step)
  const over = new Set<number>()
  const passed = new Set<number>()
  edges.forEach((edge, at) => {
    if (back.has(at) || !ways.has(edge[0]) || !ways.has(edge[1])) return
    const layersBetween = between(edge)
    if (layersBetween.length === 0) return
    if (layersBetween.every(isSingle)) over.add(at)
    else for (const layer of layersBetween) passed.add(layer)
  })
  const spine = new Map<number, number>()
  for (const [layer, [node]] of inLayer)
    if (node !== undefined && isSingle(layer) && !passed.has(layer)) spine.set(layer, node)
  return { back, over, layers, spine }
}

/** The nodes on a way from the first node to those of the last layer. */
function waysToLayer(count: number, forward: Edges, layers: readonly number[], last: number): ReadonlySet<number> {
  const order = Array.from({ length: count }, (_, node) => node).sort((a, b) => (layers[a] ?? 0) - (layers[b] ?? 0))
  const next: number[][] = Array.from({ length: count }, () => [])
  for (const [from, to] of forward) next[from]?.push(to)
  const reached = new Set([0])
  for (const node of order) if (reached.has(node)) for (const to of next[node] ?? []) reached.add(to)
  const leads = new Set(order.filter((node) => layers[node] === last))
  for (const node of [...order].reverse()) if ((next[node] ?? []).some((to) => leads.has(to))) leads.add(node)
  return new Set([...reached].filter((node) => leads.has(node)))
}
