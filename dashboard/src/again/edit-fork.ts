import type { Command, CommandReceipt, WorkflowSession } from '@relive/types'

import { request } from '../api/http'
import { reasonOf } from '../session/steering'

/** A fork that was made, while what was to be changed in it was not. */
export class Unchanged extends Error {
  readonly fork: WorkflowSession
  constructor(fork: WorkflowSession, reason: unknown) {
    super(reasonOf(reason))
    this.fork = fork
  }
}

interface Wanted {
  readonly sessionId: string
  readonly revision: number
  readonly changes: readonly Command[]
  readonly start: boolean
  /** The same for every attempt to fork: none is made twice. */
  readonly forkKey: string
  /** The same as long as the same is to be changed. */
  readonly changesKey: string
}

/**
 * Forks a session, makes changes in the fork, and starts it: the API has no parameter for changes. All of them and the
 * start are one request, which is carried out as a whole or not at all.
 *
 * @throws Unchanged if there is a fork, and the changes were refused
 */
export async function forkChanged({ sessionId, revision, changes, start, ...keys }: Wanted): Promise<WorkflowSession> {
  const fork = await request<WorkflowSession>('POST', `/sessions/${sessionId}/fork`, {
    body: { revision },
    headers: { 'idempotency-key': keys.forkKey },
  })
  const commands = [...changes, ...(start ? startOf(fork) : [])]
  try {
    await request<CommandReceipt>('POST', `/sessions/${fork.id}/commands`, {
      body: commands,
      headers: { 'idempotency-key': keys.changesKey },
    })
  } catch (cause) {
    throw new Unchanged(fork, cause)
  }
  return fork
}

/** A fork of another engine's run goes on as it was, and needs no start. */
function startOf({ status }: WorkflowSession): Command[] {
  if (status === 'pending') return [{ type: 'start' }]
  return status === 'paused' ? [{ type: 'resume' }] : []
}
