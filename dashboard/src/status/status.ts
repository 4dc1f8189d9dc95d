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

/** A node that has ended, whether it ran or not. */
export function isDone(status: NodeStatus): boolean {
  return status === 'completed' || status === 'failed' || status === 'skipped'
}

/** What was done: a node that was skipped did nothing. */
export interface Progress {
  done: number
  skipped: number
  all: number
}

export function progressOf(counts: NodeCounts): Progress {
  const all = nodeStatuses.reduce((sum, status) => sum + (counts[status] ?? 0), 0)
  return { done: (counts.completed ?? 0) + (counts.failed ?? 0), skipped: counts.skipped ?? 0, all }
}
