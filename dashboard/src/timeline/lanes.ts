import type { GraphDefinition, NodeStateSnapshot, NodeStatus, WorkflowSession } from '@relive/types'

import { millis } from '../format/time'
import { byKey, instanceOf } from '../node/instances'
import { isDone } from '../status/status'

/** An interval in which a node ran or waited; milliseconds since 1970. */
export interface Bar {
  readonly from: number
  /** `undefined` while it lasts. */
  readonly to: number | undefined
  readonly attempt: number
  /** Its status while it lasted. */
  readonly during: 'running' | 'suspended'
  /** The status that is drawn: how it ended, or what it is. */
  readonly status: NodeStatus
  /** The revision at which it began; `undefined` if only its times are known. */
  readonly revision: number | undefined
  /** The revision at which it ended; `undefined` while it lasts, too. */
  readonly endRevision: number | undefined
}

/** The intervals of one node, in chronological order. */
export interface Lane {
  readonly id: string
  readonly bars: readonly Bar[]
}

export type Lanes = ReadonlyMap<string, Lane>

export const noLanes: Lanes = new Map()

/** Intervals of one node that are kept; beyond it the oldest are dropped: a loop can have a million rounds. */
const barsAtMost = 2000

/**
 * The lanes after a newer state: changes between the two are added, everything else is the same object as
 * before. States in between may have been skipped; the times of a node still describe its last
 * attempt.
 */
export function advance(lanes: Lanes, before: WorkflowSession | undefined, after: WorkflowSession): Lanes {
  if (before !== undefined && before.nodes === after.nodes) return lanes
  let changed: Map<string, Lane> | undefined
  for (const id of Object.keys(after.nodes)) {
    const node = after.nodes[id]
    if (node === undefined || node === before?.nodes[id]) continue
    const lane = lanes.get(id)
    const next = advanceLane(lane, node, millis(after.updatedAt), after.revision)
    if (next === undefined || next === lane) continue
    changed ??= new Map(lanes)
    changed.set(id, next)
  }
  return changed ?? lanes
}

/**
 * The lanes of a fork with those of its parent up to the fork, which has no journal of that time. The parent's
 * revisions are others, so its bars have only times.
 */
export function withInherited(lanes: Lanes, parent: Lanes): Lanes {
  if (parent.size === 0) return lanes
  const all = new Map(lanes)
  for (const { id, bars } of parent.values()) {
    const own = lanes.get(id)?.bars ?? []
    const began = own[0]?.from
    const earlier = bars.filter(({ from, to }) => (began === undefined ? to !== undefined : from < began))
    const closed = earlier.map((bar) => ({ ...bar, to: bar.to ?? began, revision: undefined, endRevision: undefined }))
    if (closed.length > 0) all.set(id, laneOf(id, [...closed, ...own]))
  }
  return all
}

function advanceLane(lane: Lane | undefined, node: NodeStateSnapshot, at: number, revision: number): Lane | undefined {
  const bars = lane?.bars ?? []
  const last = bars.at(-1)
  const attempt = node.attempt ?? 1
  const isOpen = last !== undefined && last.to === undefined
  if (node.status === 'running' || node.status === 'suspended') {
    if (isOpen && last.during === node.status && last.attempt === attempt) return lane
    const began = last === undefined || last.attempt !== attempt ? (millis(node.startedAt) ?? at) : at
    const bar: Bar = {
      from: began,
      to: undefined,
      attempt,
      during: node.status,
      status: node.status,
      revision,
      endRevision: undefined,
    }
    const then = last?.attempt === attempt ? last.during : 'completed'
    return laneOf(node.id, [...ended(bars, then, began, revision), bar])
  }
  if (!isDone(node.status)) return lane
  const to = millis(node.completedAt) ?? at
  if (isOpen && last.attempt === attempt) return laneOf(node.id, ended(bars, node.status, to, revision))
  // The whole attempt took place between the two states; or there was none, if the node was skipped before it began.
  const from = millis(node.startedAt)
  if (from === undefined || (last !== undefined && last.attempt >= attempt)) return lane
  const bar: Bar = { from, to, attempt, during: 'running', status: node.status, revision, endRevision: revision }
  return laneOf(node.id, [...bars, bar])
}

function laneOf(id: string, bars: readonly Bar[]): Lane {
  return { id, bars: bars.length > barsAtMost ? bars.slice(-barsAtMost) : bars }
}

function ended(bars: readonly Bar[], status: NodeStatus, to: number, endRevision: number): readonly Bar[] {
  const last = bars.at(-1)
  if (last === undefined || last.to !== undefined) return bars
  // A wait is drawn as a wait, whatever its answer.
  const shown = last.during === 'suspended' || status === 'suspended' || status === 'running' ? last.during : status
  return [...bars.slice(0, -1), { ...last, to, status: shown === 'running' ? 'completed' : shown, endRevision }]
}

/** The lanes in the order in which the nodes first ran; instances come after their node. */
export function inOrder(lanes: Lanes, graph?: GraphDefinition | null): readonly Lane[] {
  const began = (id: string) => lanes.get(id)?.bars[0]?.from
  // Nodes that began within one millisecond still began one after the other.
  const revision = (id: string) => lanes.get(id)?.bars[0]?.revision ?? 0
  return [...lanes.values()]
    .filter((lane) => lane.bars.length > 0)
    .map((lane) => {
      const of = instanceOf(lane.id, graph)?.of
      const owner = of !== undefined && began(of) !== undefined ? of : lane.id
      return { lane, owner, from: began(owner) ?? 0 }
    })
    .sort((a, b) => {
      if (a.owner !== b.owner)
        return a.from - b.from || revision(a.owner) - revision(b.owner) || byKey.compare(a.owner, b.owner)
      if (a.lane.id === a.owner || b.lane.id === b.owner) return a.lane.id === a.owner ? -1 : 1
      return (began(a.lane.id) ?? 0) - (began(b.lane.id) ?? 0) || byKey.compare(a.lane.id, b.lane.id)
    })
    .map(({ lane }) => lane)
}
