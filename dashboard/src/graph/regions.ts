import type { GraphDefinition } from '@relive/types'

/** A part of a graph that can be drawn as one item: the body of a loop, or the branches between a fork and its join. */
export interface Region {
  readonly id: string
  readonly kind: 'loop' | 'parallel'
  /** The node that stays visible for the region: the loop node, or the fork. */
  readonly ownerId: string
  readonly members: ReadonlySet<string>
}

/** Members of all regions together at most: with forks within forks they grow quadratically. */
const membersAtMost = 200_000

export interface Edge {
  readonly source: string
  readonly target: string
  /** A back edge, into a loop's next round. */
  readonly isBack: boolean
}

export function edgesOf(graph: GraphDefinition): readonly Edge[] {
  const edges: Edge[] = []
  for (const node of Object.values(graph.nodes)) {
    node.nextIds?.forEach((target, index) => {
      if (graph.nodes[target] === undefined) return
      edges.push({ source: node.id, target, isBack: node.type === 'loop' && index === 0 })
    })
  }
  return edges
}

export function regionsOf(graph: GraphDefinition): readonly Region[] {
  const edges = edgesOf(graph)
  const forward = neighbours(graph, edges, ({ source, target }) => [source, target])
  const backward = neighbours(graph, edges, ({ source, target }) => [target, source])
  const regions: Region[] = []
  let members = 0
  const add = (region: Region) => {
    members += region.members.size
    if (region.members.size >= 2 && members <= membersAtMost) regions.push(region)
  }
  for (const node of Object.values(graph.nodes)) {
    const again = node.nextIds?.[0]
    if (node.type !== 'loop' || again === undefined) continue
    const ahead = reachable([again], forward, node.id)
    const behind = reachable(backward.get(node.id) ?? [], backward, node.id)
    add({
      id: `loop ${node.id}`,
      kind: 'loop',
      ownerId: node.id,
      members: new Set([...ahead].filter((id) => behind.has(id))),
    })
  }
  const onward = edges.filter(({ isBack }) => !isBack)
  const next = neighbours(graph, onward, ({ source, target }) => [source, target])
  const joins = immediatePostDominators(graph, next)
  for (const node of Object.values(graph.nodes)) {
    const branches = next.get(node.id) ?? []
    if (node.type === 'loop' || branches.length < 2) continue
    const members = reachable(branches, next, joins.get(node.id))
    // Graphs of other engines may have any back edges: such a fork cannot be folded into its node.
    if (!members.has(node.id)) add({ id: `parallel ${node.id}`, kind: 'parallel', ownerId: node.id, members })
  }
  return regions
}

type Neighbours = ReadonlyMap<string, readonly string[]>

function neighbours(
  graph: GraphDefinition,
  edges: readonly Edge[],
  ends: (edge: Edge) => [string, string],
): Neighbours {
  const lists = new Map<string, string[]>(Object.keys(graph.nodes).map((id) => [id, []]))
  for (const edge of edges) {
    const [from, to] = ends(edge)
    lists.get(from)?.push(to)
  }
  return lists
}

/** All nodes that are reachable from `starts` without passing through `stop`. */
function reachable(starts: readonly string[], next: Neighbours, stop: string | undefined): Set<string> {
  const found = new Set<string>()
  const open = starts.filter((id) => id !== stop)
  for (let id = open.pop(); id !== undefined; id = open.pop()) {
    if (found.has(id)) continue
    found.add(id)
    for (const following of next.get(id) ?? []) if (following !== stop && !found.has(following)) open.push(following)
  }
  return found
}

/** By node, its immediate post-dominator: the node at which its branches join again. */
function immediatePostDominators(graph: GraphDefinition, next: Neighbours): ReadonlyMap<string, string | undefined> {
  const order = finishOrder(Object.keys(graph.nodes), next)
  const join = new Map<string, string | undefined>()
  const depth = new Map<string, number>()
  const meet = (a: string | undefined, b: string | undefined): string | undefined => {
    let [left, right] = [a, b]
    while (left !== right) {
      if (left === undefined || right === undefined) return undefined
      if ((depth.get(left) ?? 0) >= (depth.get(right) ?? 0)) left = join.get(left)
      else right = join.get(right)
    }
    return left
  }
  // All successors of a node come before it in this order, so their joins are known.
  for (const id of order) {
    const following = (next.get(id) ?? []).filter((other) => depth.has(other))
    const [first, ...others] = following
    const found = others.reduce<string | undefined>(meet, first)
    join.set(id, found)
    depth.set(id, found === undefined ? 1 : (depth.get(found) ?? 0) + 1)
  }
  return join
}

/** Depth first, each node after its successors. Without recursion: chains can be ten thousand nodes long. */
function finishOrder(ids: readonly string[], next: Neighbours): readonly string[] {
  const seen = new Set<string>()
  const order: string[] = []
  for (const start of ids) {
    if (seen.has(start)) continue
    seen.add(start)
    const stack = [{ id: start, at: 0 }]
    for (let top = stack.at(-1); top !== undefined; top = stack.at(-1)) {
      const following = next.get(top.id)?.[top.at]
      top.at += 1
      if (following === undefined) {
        order.push(top.id)
        stack.pop()
      } else if (!seen.has(following)) {
        seen.add(following)
        stack.push({ id: following, at: 0 })
      }
    }
  }
  return order
}
