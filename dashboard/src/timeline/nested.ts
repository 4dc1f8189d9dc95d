import type { NodeStateSnapshot } from '@relive/types'

import type { Lane } from './lanes'

/** A lane, and how many of the lanes shown are above it. */
export interface NestedLane {
  readonly lane: Lane
  readonly depth: number
}

/** As deep as lanes are set in; what is deeper stands no further to the right. */
export const deepest = 6

/** Puts lanes below those of their nodes' parents, otherwise in the order they have. */
export function nest(
  lanes: readonly Lane[],
  nodes: Readonly<Record<string, NodeStateSnapshot>> | undefined,
): readonly NestedLane[] {
  const known = new Set(lanes.map(({ id }) => id))
  const parentOf = (id: string) => {
    // A parent that did nothing itself has no lane: its own parent may have one.
    let parent = nodes?.[id]?.parentNodeId
    for (let depth = 0; parent !== undefined && !known.has(parent) && depth < 64; depth += 1)
      parent = nodes?.[parent]?.parentNodeId
    return parent !== undefined && known.has(parent) ? parent : undefined
  }
  const below = new Map<string | undefined, Lane[]>()
  for (const lane of lanes) {
    const parent = parentOf(lane.id)
    const siblings = below.get(parent)
    if (siblings === undefined) below.set(parent, [lane])
    else siblings.push(lane)
  }
  if (below.size <= 1) return lanes.map((lane) => ({ lane, depth: 0 }))
  const nested: NestedLane[] = []
  const open = (below.get(undefined) ?? []).map((lane) => ({ lane, depth: 0 })).reverse()
  for (let next = open.pop(); next !== undefined; next = open.pop()) {
    nested.push(next)
    const inside = below.get(next.lane.id) ?? []
    for (let at = inside.length - 1; at >= 0; at -= 1) {
      const lane = inside[at]
      if (lane !== undefined) open.push({ lane, depth: next.depth + 1 })
    }
  }
  return nested
}
