import type { NodeStateSnapshot, NodeStatus, WorkflowSession } from '@relive/types'

import { millis } from '../format/time'

/** How one node differs between two moments. */
export interface NodeChange {
  readonly id: string
  readonly name: string
  readonly before: NodeStatus | undefined
  readonly after: NodeStatus | undefined
  readonly attempts: readonly [number, number]
  /** Tokens used in between. */
  readonly tokens: number
  /** Milliseconds that the node took, by the first and the second moment; `undefined` if it had not finished. */
  readonly took: readonly [number | undefined, number | undefined]
  readonly error: string | undefined
}

export interface ContextChange {
  readonly key: string
  readonly before: unknown
  readonly after: unknown
}

export interface Comparison {
  readonly nodes: readonly NodeChange[]
  readonly context: readonly ContextChange[]
  readonly tokens: number
  readonly costUsd: number
}

/** The changes from `first` to `second`; `second` may be the earlier moment. */
export function compare(first: WorkflowSession, second: WorkflowSession): Comparison {
  const ids = new Set([...Object.keys(first.nodes), ...Object.keys(second.nodes)])
  const nodes: NodeChange[] = []
  for (const id of ids) {
    const change = nodeChange(id, first.nodes[id], second.nodes[id])
    if (change !== undefined) nodes.push(change)
  }
  return {
    nodes,
    context: contextChanges(first.contextData ?? {}, second.contextData ?? {}),
    tokens: second.totalTokens - first.totalTokens,
    costUsd: second.totalCostUsd - first.totalCostUsd,
  }
}

function nodeChange(
  id: string,
  before: NodeStateSnapshot | undefined,
  after: NodeStateSnapshot | undefined,
): NodeChange | undefined {
  const isSame =
    before === after ||
    (before !== undefined &&
      after !== undefined &&
      before.status === after.status &&
      attemptOf(before) === attemptOf(after) &&
      tokensOf(before) === tokensOf(after) &&
      before.error === after.error &&
      before.completedAt === after.completedAt &&
      before.progress === after.progress)
  if (isSame) return undefined
  return {
    id,
    name: after?.name ?? before?.name ?? id,
    before: before?.status,
    after: after?.status,
    attempts: [attemptOf(before), attemptOf(after)],
    tokens: tokensOf(after) - tokensOf(before),
    took: [tookOf(before), tookOf(after)],
    error: after?.error === before?.error ? undefined : after?.error,
  }
}

function attemptOf(node: NodeStateSnapshot | undefined): number {
  return node?.attempt ?? 1
}

function tokensOf(node: NodeStateSnapshot | undefined): number {
  return (node?.tokenUsage?.inputTokens ?? 0) + (node?.tokenUsage?.outputTokens ?? 0)
}

function tookOf(node: NodeStateSnapshot | undefined): number | undefined {
  const [from, to] = [millis(node?.startedAt), millis(node?.completedAt)]
  return from === undefined || to === undefined ? undefined : to - from
}

function contextChanges(before: Record<string, unknown>, after: Record<string, unknown>): readonly ContextChange[] {
  const keys = [...new Set([...Object.keys(before), ...Object.keys(after)])].sort()
  return keys
    .filter((key) => JSON.stringify(before[key]) !== JSON.stringify(after[key]))
    .map((key) => ({ key, before: before[key], after: after[key] }))
}
