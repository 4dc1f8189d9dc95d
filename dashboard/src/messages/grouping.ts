import type { GraphDefinition, Message, MessageGroup, WorkflowSession } from '@relive/types'

import { nodeName } from '../node/instances'
import type { Lanes } from '../timeline/lanes'

/** Messages that one attempt of a node wrote one after the other. */
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
 * Messages in the order of the run. Neighbours of the same attempt of a node stand together; whenever another node
 * speaks, or a node runs again in a loop, a new group begins.
 */
export function groupMessages(messages: Iterable<Message>, context: GroupingContext): readonly AttemptGroup[] {
  const groups: AttemptGroup[] = []
  for (const message of messages) {
    const attempt = attemptAt(context.lanes, message)
    const last = groups.at(-1)
    if (last?.nodeId === message.nodeId && last.attempt === attempt) last.messages.push(message)
    else groups.push(newGroup(message.id, attempt, message, context))
  }
  return groups
}

function newGroup(key: string, attempt: number, message: Message, context: GroupingContext): AttemptGroup {
  const { nodeId } = message
  const node = context.session?.nodes[nodeId]
  const planned = context.graph?.nodes[nodeId]
  return {
    key,
    attempt,
    nodeId,
    nodeName: nodeName(nodeId, context.session, context.graph),
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
