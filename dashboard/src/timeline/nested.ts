import type { NodeStateSnapshot } from '@relive/types'

import type { Lane } from './lanes'

/** A lane, and where it stands among those that are nested. */
export interface NestedLane {
  readonly lane: Lane
  /** How many of the lanes are above it. */
  readonly depth: number
  /** How many are below it, at any depth. */
  readonly inside: number
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
  if (below.size <= 1) return lanes.map((lane) => ({ lane, depth: 0, inside: 0 }))
  return counted(inDepth(below))
}

type Placed = Omit<NestedLane, 'inside'>

function inDepth(below: ReadonlyMap<string | undefined, readonly Lane[]>): readonly Placed[] {
  const placed: Placed[] = []
  const open = (below.get(undefined) ?? []).map((lane) => ({ lane, depth: 0 })).reverse()
  for (let next = open.pop(); next !== undefined; next = open.pop()) {
    placed.push(next)
    const inside = below.get(next.lane.id) ?? []
    for (let at = inside.length - 1; at >= 0; at -= 1) {
      const lane = inside[at]
      if (lane !== undefined) open.push({ lane, depth: next.depth + 1 })
    }
  }
  return placed
}

function counted(placed: readonly Placed[]): readonly NestedLane[] {
  const ends: number[] = placed.map(() => placed.length)
  /** Those whose steps may still follow. */
  const open: number[] = []
  placed.forEach(({ depth }, at) => {
    for (let top = open.at(-1); top !== undefined && (placed[top]?.depth ?? 0) >= depth; top = open.at(-1)) {
      ends[top] = at
      open.pop()
    }
    open.push(at)
  })
  return placed.map((each, at) => ({ ...each, inside: (ends[at] ?? at + 1) - at - 1 }))
}

/** Without what is below the folded ones. */
export function unfolded(lanes: readonly NestedLane[], folded: ReadonlySet<string>): readonly NestedLane[] {
  if (folded.size === 0) return lanes
  const shown: NestedLane[] = []
  for (let at = 0; at < lanes.length; at += 1) {
    const each = lanes[at]
    if (each === undefined) break
    shown.push(each)
    if (folded.has(each.lane.id)) at += each.inside
  }
  return shown
}

/** The lanes that are folded around a node, from the outside in. */
export function foldsAround(lanes: readonly NestedLane[], folded: ReadonlySet<string>, id: string): readonly string[] {
  const index = lanes.findIndex(({ lane }) => lane.id === id)
  const around: string[] = []
  for (let at = 0; at < index; at += 1) {
    const each = lanes[at]
    if (each !== undefined && at + each.inside >= index && folded.has(each.lane.id)) around.push(each.lane.id)
  }
  return around
}
