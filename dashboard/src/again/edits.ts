import type { Command, GraphDefinition, NodeStateSnapshot, WorkflowSession } from '@relive/types'

/** What can be changed of a moment. */
export type Target =
  | { readonly kind: 'proposal' }
  | { readonly kind: 'context'; readonly key: string }
  | { readonly kind: 'output'; readonly nodeId: string }

/** A change to be made in a fork; `before` is `undefined` where there was nothing. */
export interface Edit {
  readonly target: Target
  readonly before: unknown
  readonly after: unknown
}

export function keyOf(target: Target): string {
  if (target.kind === 'proposal') return 'proposal'
  return target.kind === 'context' ? `context ${target.key}` : `output ${target.nodeId}`
}

type Graph = GraphDefinition | null | undefined
type State = Pick<WorkflowSession, 'status' | 'nodes' | 'contextData'>

/** Statuses in which a node can be given an output: it has ended, or is completed with it. */
const begun: readonly NodeStateSnapshot['status'][] = ['completed', 'failed', 'running', 'suspended']

/**
 * The nodes whose outputs can be changed, in the order in which they began. One that has not completed is completed
 * by that; not if it decides where the run goes, since nobody has decided.
 */
export function nodesWithOutputs({ status, nodes }: State, graph: Graph): readonly string[] {
  // Before the start no node can be changed.
  if (status !== 'running' && status !== 'paused') return []
  const decides = (id: string) => (graph?.nodes[id]?.nextIds?.length ?? 0) > 1
  return Object.values(nodes)
    .filter((node) => begun.includes(node.status) && (node.status === 'completed' || !decides(node.id)))
    .sort((a, b) => (a.startedAt ?? '').localeCompare(b.startedAt ?? ''))
    .map(({ id }) => id)
}

/** The nodes that had ended after this one, and keep what they put out although it changes. */
export function endedAfter(nodeId: string, { nodes }: State, graph: Graph): readonly string[] {
  const ended = nodes[nodeId]?.completedAt
  if (ended === undefined || graph == null) return []
  const reached = new Set<string>()
  const open = [...(graph.nodes[nodeId]?.nextIds ?? [])]
  for (let id = open.pop(); id !== undefined; id = open.pop()) {
    if (id === nodeId || reached.has(id)) continue
    reached.add(id)
    open.push(...(graph.nodes[id]?.nextIds ?? []))
  }
  return [...reached].filter((id) => {
    const node = nodes[id]
    return node?.completedAt !== undefined && node.status !== 'skipped' && node.completedAt >= ended
  })
}

/** The commands that make the changes: of each thing one, and two for a node that has ended without completing. */
export function commandsFor(edits: readonly Edit[], { nodes }: State): Command[] {
  return edits.flatMap(({ target, after }): Command[] => {
    if (target.kind === 'proposal') return [{ type: 'setProposal', proposal: after }]
    if (target.kind === 'context') return [{ type: 'setContext', key: target.key, value: after }]
    const { nodeId } = target
    const completed: Command = { type: 'setNodeStatus', nodeId, status: 'completed', output: after }
    if (nodes[nodeId]?.status !== 'failed') return [completed]
    return [{ type: 'setNodeStatus', nodeId, status: 'running' }, completed]
  })
}
