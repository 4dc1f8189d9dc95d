import type { NodeCounts, NodeStatus, SessionStatus } from '@relive/types'

export const sessionStatuses: readonly SessionStatus[] = [
  'running',
  'paused',
  'pending',
  'completed',
  'failed',
  'cancelled',
]
export const nodeStatuses: readonly NodeStatus[] = ['completed', 'running', 'suspended', 'failed', 'skipped', 'pending']

/** The six styles that the statuses of nodes and sessions share: a colour and a shape each. */
export type Look = NodeStatus

/** A paused run is shown as waiting, like a suspended node; a cancelled one like a skipped node. */
export function look(status: NodeStatus | SessionStatus): Look {
  if (status === 'paused') return 'suspended'
  return status === 'cancelled' ? 'skipped' : status
}

export function hasEnded(status: SessionStatus): boolean {
  return status === 'completed' || status === 'failed' || status === 'cancelled'
}

/** A node that has ended, for the progress. */
export function isDone(status: NodeStatus): boolean {
  return status === 'completed' || status === 'failed' || status === 'skipped'
}

export interface Progress {
  done: number
  all: number
}

export function progressOf(counts: NodeCounts): Progress {
  let done = 0
  let all = 0
  for (const status of nodeStatuses) {
    const count = counts[status] ?? 0
    all += count
    if (isDone(status)) done += count
  }
  return { done, all }
}
