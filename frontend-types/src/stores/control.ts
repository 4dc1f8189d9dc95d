import type { ReliveClient } from '../client.js'
import type { Command, CommandReceipt, ReviewRequest } from '../generated/protocol.js'
import { randomId } from '../identifiers.js'
import { ask } from './requests.js'

/** Steers one session. Each resolves once the change is durable, and rejects with a `ReliveError`. */
export interface SessionControl {
  start(): Promise<CommandReceipt>
  pause(): Promise<CommandReceipt>
  resume(): Promise<CommandReceipt>
  complete(outputs?: unknown): Promise<CommandReceipt>
  stop(reason?: string): Promise<CommandReceipt>
  cancel(reason?: string): Promise<CommandReceipt>
  /** Gives a waiting node its payload. */
  signal(nodeId: string, payload: unknown): Promise<CommandReceipt>
  /** Answers a node that waits for a review. Who reviewed is the signed-in user, where there is one. */
  review(
    nodeId: string,
    action: ReviewRequest['action'],
    more?: { reviewer?: string; data?: unknown },
  ): Promise<CommandReceipt>
  command(command: Command | readonly Command[]): Promise<CommandReceipt>
}

export function controlOf(client: ReliveClient, sessionId: string): SessionControl {
  const command = (given: Command | readonly Command[]) => client.command(sessionId, given)
  // Nothing else is sent, such as the event of a button whose handler this is.
  const because = (reason: unknown) => typeof reason === 'string' && { reason }
  return {
    start: () => command({ type: 'start' }),
    pause: () => command({ type: 'pause' }),
    resume: () => command({ type: 'resume' }),
    complete: (outputs) => command({ type: 'complete', ...(outputs !== undefined && { outputs }) }),
    stop: (reason) => command({ type: 'stop', ...because(reason) }),
    cancel: (reason) => command({ type: 'cancel', ...because(reason) }),
    signal: (nodeId, payload) => command({ type: 'signal', nodeId, payload }),
    review: (nodeId, action, more) =>
      ask(client, `/sessions/${encodeURIComponent(sessionId)}/review`, {
        method: 'POST',
        headers: { 'content-type': 'application/json', 'idempotency-key': randomId() },
        body: JSON.stringify({ nodeId, action, ...more } satisfies ReviewRequest),
      }),
    command,
  }
}
