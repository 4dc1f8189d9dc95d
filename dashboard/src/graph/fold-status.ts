import type { NodeCounts, NodeStatus, WorkflowSession } from '@relive/types'

import { nodeStatuses } from '../status/status'

/** Counted once for each state: the card of a folded region and all of its edges use it. */
const counted = new WeakMap<WorkflowSession['nodes'], Map<ReadonlySet<string>, string>>()
const noNodes: WorkflowSession['nodes'] = {}

/** The number of nodes in each status, as a text that can be compared. */
export function countsKey(members: ReadonlySet<string>, session: WorkflowSession | undefined): string {
  const nodes = session?.nodes ?? noNodes
  let keys = counted.get(nodes)
  if (keys === undefined) {
    keys = new Map()
    counted.set(nodes, keys)
  }
  let key = keys.get(members)
  if (key === undefined) {
    key = count(members, nodes)
    keys.set(members, key)
  }
  return key
}

function count(members: ReadonlySet<string>, nodes: WorkflowSession['nodes']): string {
  const counts = new Map<NodeStatus, number>()
  for (const id of members) {
    const status = nodes[id]?.status ?? 'pending'
    counts.set(status, (counts.get(status) ?? 0) + 1)
  }
  return nodeStatuses.map((status) => counts.get(status) ?? 0).join(' ')
}

export function readCounts(key: string): NodeCounts {
  const numbers = key.split(' ').map(Number)
  return Object.fromEntries(nodeStatuses.map((status, index) => [status, numbers[index] ?? 0])) as NodeCounts
}

/** The status shown for a folded region: the one that most needs attention. */
export function statusOfCounts(counts: NodeCounts): NodeStatus {
  for (const status of ['suspended', 'running', 'failed'] as const) if (counts[status] > 0) return status
  const begun = counts.completed + counts.skipped
  if (begun === 0) return 'pending'
  if (counts.pending > 0) return 'running'
  return counts.completed > 0 ? 'completed' : 'skipped'
}
