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

/** The six looks that the statuses of nodes and sessions share: a colour and a shape each. */
export type Look = NodeStatus

/** A paused run waits as a suspended node does; a cancelled one was left out as a skipped node is. */
export function look(status: NodeStatus | SessionStatus): Look {
  if (status === 'paused') return 'suspended'
  return status === 'cancelled' ? 'skipped' : status
}

export function hasEnded(status: SessionStatus): boolean {
  return status === 'completed' || status === 'failed' || status === 'cancelled'
}

/** A node that needs nothing more: what progress counts. */
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
