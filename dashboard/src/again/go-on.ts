import type { Created, EventPage, Timeline, WorkflowSession } from '@relive/types'

import { get, query, request } from '../api/http'

const pagesAtMost = 20

/** What a session was created with. */
export async function readCreated(sessionId: string): Promise<Created> {
  const { events } = await get<EventPage>(`/sessions/${sessionId}/events${query({ limit: 1 })}`)
  const event = events[0]?.event
  if (event?.type !== 'created') throw new Error('a session begins with its creation')
  return event
}

/** The last revision at which a node had not failed yet; `undefined` if it never failed, or was reported like that at first. */
export async function revisionBefore(sessionId: string, nodeId: string): Promise<number | undefined> {
  let failedAt: number | undefined
  let after: number | undefined
  for (let page = 0; page < pagesAtMost; page += 1) {
    const timeline = await get<Timeline>(`/sessions/${sessionId}/timeline${query({ after })}`)
    const { intervals = [] } = timeline.nodes.find(({ id }) => id === nodeId) ?? {}
    failedAt = intervals.findLast(({ status }) => status === 'failed')?.fromRevision ?? failedAt
    if (timeline.truncated !== true) break
    after = timeline.revision
  }
  return failedAt === undefined || failedAt < 2 ? undefined : failedAt - 1
}

/** Forks a session, and lets the engine of the server go on with it. */
export function forkAndStart(sessionId: string, revision: number, key: string): Promise<WorkflowSession> {
  const headers = { 'idempotency-key': key }
  return request<WorkflowSession>('POST', `/sessions/${sessionId}/fork`, { body: { revision, start: true }, headers })
}
