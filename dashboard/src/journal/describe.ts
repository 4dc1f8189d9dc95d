import type { Event, GraphDefinition, NodeStatus, SessionStatus, WorkflowSession } from '@relive/types'

import { count } from '../format/number'
import type { Text } from '../i18n/en'

/** A short description of an event. */
export interface Description {
  /** The node that the event is about, if any. */
  readonly nodeId: string | undefined
  readonly status: NodeStatus | SessionStatus | undefined
  readonly subject: string
  readonly text: string
}

export function describe(event: Event, t: Text, names: (nodeId: string) => string): Description {
  const ofRun = (status: SessionStatus, text: string, detail?: string): Description => ({
    nodeId: undefined,
    status,
    subject: t.event.run,
    text: detail === undefined || detail === '' ? text : `${text}: ${detail}`,
  })
  const ofNode = (nodeId: string, text: string, status?: NodeStatus): Description => ({
    nodeId,
    status,
    subject: names(nodeId),
    text,
  })
  switch (event.type) {
    case 'created':
      return ofRun(
        'pending',
        t.event.created,
        event.forked === undefined ? undefined : t.forkedFrom(event.forked.revision),
      )
    case 'started':
      return ofRun('running', t.event.started)
    case 'paused':
      return ofRun('paused', t.event.paused)
    case 'resumed':
      return ofRun('running', t.event.resumed)
    case 'completed':
      return ofRun('completed', t.event.completed)
    case 'failed':
      return ofRun('failed', t.event.failed, event.error)
    case 'cancelled':
      return ofRun('cancelled', t.event.cancelled, event.reason)
    case 'nodeStatusChanged': {
      const details = [
        t.status[event.status],
        (event.attempt ?? 1) > 1 ? `×${event.attempt}` : '',
        event.status === 'running' && event.progress !== undefined ? `${Math.round(event.progress * 100)} %` : '',
        event.error ?? '',
      ]
      return ofNode(event.nodeId, details.filter(Boolean).join(' · '), event.status)
    }
    case 'usageRecorded':
      return ofNode(event.nodeId, t.event.usage(count(event.inputTokens + event.outputTokens)))
    case 'contextSet':
      return {
        ...ofRun('running', event.value === null ? t.event.contextRemoved(event.key) : t.event.contextSet(event.key)),
        status: undefined,
      }
    case 'proposalSet':
      return { ...ofRun('running', t.event.proposalSet), status: undefined }
    case 'labelsSet':
      return { ...ofRun('running', t.event.labelsSet), status: undefined }
    case 'signalled': {
      const decision = decisionOf(event.payload)
      return ofNode(event.nodeId, decision === undefined ? t.event.signalled : t.event.reviewed(decided(decision, t)))
    }
    case 'messageAdded':
      return ofNode(event.nodeId, event.isThinking ? t.event.thought : t.event.message)
    case 'memoryAdded':
      return { nodeId: undefined, status: undefined, subject: t.event.run, text: t.event.memory }
    default:
      // An event of a newer server: its name is shown.
      return { nodeId: undefined, status: undefined, subject: t.event.run, text: (event as { type: string }).type }
  }
}

/** What a signal decides of a review; `undefined` if it is another signal. */
export function decisionOf(payload: unknown): string | undefined {
  const action = (payload as { review?: { action?: unknown } } | null | undefined)?.review?.action
  return typeof action === 'string' ? action : undefined
}

/** A decision in words; one of a newer server as it calls it. */
export function decided(decision: string, t: Text): string {
  return Object.hasOwn(t.decision, decision) ? t.decision[decision as keyof Text['decision']] : decision
}

export function nodeName(
  nodeId: string,
  session: WorkflowSession | undefined,
  graph: GraphDefinition | null | undefined,
): string {
  return session?.nodes[nodeId]?.name ?? graph?.nodes[nodeId]?.name ?? nodeId
}
