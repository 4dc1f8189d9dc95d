import type { NodeStateSnapshot, WorkflowSession } from '@relive/types'

/**
 * The node to look at when a run has failed: the one that failed first, as others may have failed because of it. A node
 * that only ended because the run did has the run's own time of ending.
 */
export function failedNode(session: WorkflowSession | undefined): NodeStateSnapshot | undefined {
  const failed = Object.values(session?.nodes ?? {}).filter(({ status }) => status === 'failed')
  const time = ({ completedAt }: NodeStateSnapshot) => completedAt ?? '9'
  // Of those that failed at the same time, the one that the run failed for, or one that says why, and a step rather than the node it is inside of.
  const weight = ({ error, parentNodeId }: NodeStateSnapshot) =>
    (error === undefined ? 4 : error === session?.error ? 0 : 2) + (parentNodeId === undefined ? 1 : 0)
  return failed.sort((a, b) => time(a).localeCompare(time(b)) || weight(a) - weight(b))[0]
}
