import type { GraphDefinition } from '@relive/types'
import { type Edge, edgesOf, type Region } from './regions'

/** The drawn items: nodes, and folded regions. */
export type Item =
  | { readonly kind: 'node'; readonly id: string }
  | { readonly kind: 'fold'; readonly id: string; readonly region: Region }

export interface VisibleGraph {
  readonly items: readonly Item[]
  readonly edges: readonly Edge[]
  /** By node: the item that is drawn in its place if it is folded. */
  readonly standIns: ReadonlyMap<string, string>
}

/** In a graph with more nodes than this, large regions are folded at first. */
const foldAbove = 120
const foldMembers = 12

/** The regions to fold when a graph is first shown: none in a small one. */
export function foldedAtFirst(nodeCount: number, regions: readonly Region[]): ReadonlySet<string> {
  if (nodeCount <= foldAbove) return new Set()
  // A region with nearly all nodes would leave nothing to see.
  const isWorthIt = ({ members }: Region) => members.size >= foldMembers && members.size < nodeCount * 0.9
  const large = regions.filter(isWorthIt)
  return new Set(
    (large.length > 0 ? large : regions.filter(({ members }) => members.size >= foldMembers)).map(({ id }) => id),
  )
}

export function visibleGraph(
  graph: GraphDefinition,
  regions: readonly Region[],
  folded: ReadonlySet<string>,
): VisibleGraph {
  const standIns = new Map<string, string>()
  const shown = new Map<string, Region>()
  // The largest first, so that a folded region inside a folded region is hidden with it.
  const inOrder = regions.filter(({ id }) => folded.has(id)).sort((a, b) => b.members.size - a.members.size)
  for (const region of inOrder) {
    if (standIns.has(region.ownerId)) continue
    for (const id of region.members) {
      if (standIns.has(id)) continue
      standIns.set(id, foldId(region))
      shown.set(foldId(region), region)
    }
  }
  // Regions overlap; each folded one has the nodes for which it stands, and no others.
  const held = new Map<string, Set<string>>()
  for (const [id, standIn] of standIns) {
    const members = held.get(standIn)
    if (members === undefined) held.set(standIn, new Set([id]))
    else members.add(id)
  }
  for (const [id, region] of shown) shown.set(id, { ...region, members: held.get(id) ?? region.members })
  const items = new Map<string, Item>()
  for (const id of fromStart(graph)) {
    const standIn = standIns.get(id)
    const region = standIn === undefined ? undefined : shown.get(standIn)
    if (standIn === undefined || region === undefined) items.set(id, { kind: 'node', id })
    else items.set(standIn, { kind: 'fold', id: standIn, region })
  }
  const edges = new Map<string, Edge>()
  for (const edge of edgesOf(graph)) {
    const source = standIns.get(edge.source) ?? edge.source
    const target = standIns.get(edge.target) ?? edge.target
    const key = `${source}\u0000${target}`
    const isInside = source === target && edge.source !== edge.target
    if (!isInside && !edges.has(key)) edges.set(key, { source, target, isBack: edge.isBack })
  }
  return { items: [...items.values()], edges: [...edges.values()], standIns }
}

/**
 * The nodes in the order in which they are reachable from the start. The order in the graph is arbitrary, and a
 * layout that begins in the middle would take the wrong edge of a loop for the back edge.
 */
function fromStart(graph: GraphDefinition): readonly string[] {
  const order = new Set<string>([graph.startNodeId])
  for (const id of order) for (const next of graph.nodes[id]?.nextIds ?? []) order.add(next)
  for (const id of Object.keys(graph.nodes)) order.add(id)
  return [...order].filter((id) => graph.nodes[id] !== undefined)
}

export function foldId({ id }: Region): string {
  return `fold ${id}`
}
