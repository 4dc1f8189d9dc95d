import type { CreateSession, Event, EventPage, WorkflowSession } from '@relive/types'
import { ReliveError } from '@relive/types'

import { get, query, request } from '../api/http'

type Created = Extract<Event, { type: 'created' }>

/** A new session of the same workflow or graph, with the same proposal, inputs and labels. */
export function again(created: Created): CreateSession {
  const { workflowId, groupId, graph, proposal, inputs, driver, name, tags, metadata } = created
  return {
    driver,
    ...(workflowId !== undefined && { workflowId }),
    ...(groupId !== undefined && { groupId }),
    ...(graph !== undefined && { graph }),
    ...(proposal !== undefined && { proposal }),
    ...(inputs !== undefined && { inputs }),
    ...(name !== undefined && { name }),
    ...(tags !== undefined && { tags }),
    ...(metadata !== undefined && { metadata }),
  }
}

/** The key of one wish to run a session again: its request may be sent more than once. */
export function wish(): string {
  return crypto.randomUUID?.() ?? `${Date.now()}-${Math.random()}`
}

/**
 * Runs a session again from its beginning. The graph is the one that it ran; who may not give a graph runs the stored
 * workflow as it is now.
 */
export async function runAgain(
  sessionId: string,
  key: string,
  onlyHere: string,
  signal: AbortSignal,
): Promise<WorkflowSession> {
  const page = await get<EventPage>(`/sessions/${sessionId}/events${query({ after: 0, limit: 1 })}`, signal)
  const created = page.events[0]?.event
  if (created?.type !== 'created') throw new ReliveError('not_found', 'the session has no beginning')
  // Only the program that reports a run can run it.
  if (created.driver !== 'builtin') throw new ReliveError('bad_request', onlyHere)
  const body = again(created)
  const create = (body: CreateSession, suffix: string) =>
    request<WorkflowSession>('POST', '/sessions', { body, headers: { 'idempotency-key': key + suffix }, signal })
  const session = await create(body, '').catch((error: unknown) => {
    const isRefused = error instanceof ReliveError && error.code === 'forbidden'
    if (!isRefused || body.workflowId === undefined) throw error
    const { graph: _, ...stored } = body
    return create(stored, '-stored')
  })
  if (session.status === 'pending')
    await request('POST', `/sessions/${session.id}/control`, {
      body: { action: 'start' },
      headers: { 'idempotency-key': `${key}-start` },
      signal,
    })
  return session
}
