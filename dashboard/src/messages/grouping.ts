import type { GraphDefinition, Message, MessageGroup, WorkflowSession } from '@relive/types'

import type { Lanes } from '../timeline/lanes'

/** The messages of one attempt of a node. */
export interface AttemptGroup extends MessageGroup {
  readonly key: string
  readonly attempt: number
}

/** The part of the session's state that grouping needs. */
export interface GroupingContext {
  readonly session: WorkflowSession | undefined
  readonly graph: GraphDefinition | null | undefined
  readonly lanes: Lanes
  readonly parallel: ReadonlySet<string>
}

/**
 * Messages by node and attempt, in the order of each group's first message. Messages of nodes that run at the
 * same time stay readable this way, and a node that runs again in a loop begins a new group.
 */
export function groupMessages(messages: Iterable<Message>, context: GroupingContext): readonly AttemptGroup[] {
  const groups = new Map<string, AttemptGroup>()
  for (const message of messages) {
    const attempt = attemptAt(context.lanes, message)
    const key = `${message.nodeId}\u0000${attempt}`
    const group = groups.get(key)
    if (group !== undefined) group.messages.push(message)
    else groups.set(key, newGroup(key, attempt, message, context))
  }
  return [...groups.values()]
}

function newGroup(key: string, attempt: number, message: Message, context: GroupingContext): AttemptGroup {
  const { nodeId } = message
  const node = context.session?.nodes[nodeId]
  const planned = context.graph?.nodes[nodeId]
  return {
    key,
    attempt,
    nodeId,
    nodeName: node?.name ?? planned?.name ?? nodeId,
    nodeType: node?.type ?? planned?.type ?? '',
    isParallel: context.parallel.has(nodeId),
    status: node?.status ?? 'pending',
    messages: [message],
  }
}

/** The attempt of its node that a message belongs to: the last one that had begun when it was written. */
function attemptAt(lanes: Lanes, message: Message): number {
  const bars = lanes.get(message.nodeId)?.bars
  if (bars === undefined || bars.length === 0) return 1
  const at = Date.parse(message.createdAt)
  for (let index = bars.length - 1; index >= 0; index -= 1) {
    const bar = bars[index]
    // A small difference of clocks between the node's start and its first message must not make a group of its own.
    if (bar !== undefined && bar.from <= at + 2) return bar.attempt
  }
  return bars[0]?.attempt ?? 1
}

/** The nodes that run in parallel: several nodes follow the same one, and that is not a loop. */
export function parallelNodes(graph: GraphDefinition | null | undefined): ReadonlySet<string> {
  const parallel = new Set<string>()
  for (const node of Object.values(graph?.nodes ?? {})) {
    const next = node.nextIds ?? []
    if (node.type === 'loop' || node.type === 'condition' || next.length < 2) continue
    for (const id of next) parallel.add(id)
  }
  return parallel
}
