import type { Created, EventPage, NodeDetail, SessionEntity, Timeline, WorkflowSession } from '@relive/types'

import { get, query } from '../api/http'
import { hasEnded } from '../status/status'
import { readCreated } from './go-on'

/** A moment of a run that can be changed in a fork. */
export interface Moment {
  /** The state, before the end of the run. */
  readonly session: WorkflowSession
  /** The moment that was asked for was after the end, where nothing can be changed. */
  readonly wasEnded: boolean
  readonly proposal: unknown
  /** Whether the proposal is surely that of the moment: the server tells of earlier ones only in the events. */
  readonly isProposalKnown: boolean
}

const eventsAtOnce = 1000
const pagesAtMost = 20

const stateAt = (sessionId: string, revision: number, signal?: AbortSignal) =>
  get<WorkflowSession>(`/sessions/${sessionId}${query({ revision })}`, signal)

/** The moment at a revision, or the last one before the run ended; `undefined` if it has only ever been an ended one. */
export async function readMoment(
  sessionId: string,
  revision: number,
  signal?: AbortSignal,
): Promise<Moment | undefined> {
  const asked = await stateAt(sessionId, revision, signal)
  const wasEnded = hasEnded(asked.status)
  const session = wasEnded ? await beforeEnd(sessionId, revision, signal) : asked
  if (session === undefined) return undefined
  return { session, wasEnded, ...(await proposalAt(sessionId, session.revision, signal)) }
}

/** A run ends once, so the last moment before it is found by halving. */
async function beforeEnd(sessionId: string, revision: number, signal?: AbortSignal) {
  // It is mostly the last thing that happened.
  const last = revision > 1 ? await stateAt(sessionId, revision - 1, signal) : undefined
  if (last === undefined || !hasEnded(last.status)) return last
  let [open, ended] = [0, revision - 1]
  while (ended - open > 1) {
    const middle = Math.floor((open + ended) / 2)
    if (hasEnded((await stateAt(sessionId, middle, signal)).status)) ended = middle
    else open = middle
  }
  return open === 0 ? undefined : stateAt(sessionId, open, signal)
}

async function proposalAt(
  sessionId: string,
  revision: number,
  signal?: AbortSignal,
): Promise<Pick<Moment, 'proposal' | 'isProposalKnown'>> {
  let to = revision
  for (let page = 0; page < pagesAtMost && to > 0; page += 1) {
    const after = Math.max(0, to - eventsAtOnce)
    const { events } = await get<EventPage>(
      `/sessions/${sessionId}/events${query({ after, limit: to - after })}`,
      signal,
    )
    const set = events.findLast(({ event }) => event.type === 'proposalSet')?.event
    if (set?.type === 'proposalSet') return { proposal: set.proposal, isProposalKnown: true }
    to = after
  }
  const created = await readCreated(sessionId)
  if (to === 0) return { proposal: created.proposal ?? forkedProposal(created), isProposalKnown: true }
  const { proposal } = await get<SessionEntity>(`/sessions/${sessionId}/entity`, signal)
  return { proposal, isProposalKnown: false }
}

/** A fork begins with a state, which has the proposal. */
function forkedProposal({ forked }: Created): unknown {
  return forked?.state['proposal'] ?? undefined
}

/** The last output of a node at a revision; `undefined` if it had none. */
export async function outputAt(sessionId: string, nodeId: string, revision: number, signal?: AbortSignal) {
  const path = `/sessions/${sessionId}/nodes/${encodeURIComponent(nodeId)}${query({ revision })}`
  return (await get<NodeDetail>(path, signal)).output
}

/** The revision at which a node last ended before another one; `undefined` if it had not. */
export async function revisionOfEnd(sessionId: string, nodeId: string, to: number): Promise<number | undefined> {
  let found: number | undefined
  let after: number | undefined
  for (let page = 0; page < pagesAtMost; page += 1) {
    const timeline = await get<Timeline>(`/sessions/${sessionId}/timeline${query({ after, to })}`)
    const { intervals = [] } = timeline.nodes.find(({ id }) => id === nodeId) ?? {}
    const ended = intervals.findLast(({ status }) => status === 'completed' || status === 'failed')
    found = ended?.fromRevision ?? found
    if (timeline.truncated !== true) break
    after = timeline.revision
  }
  return found
}
