import type { EventPage, Recorded, Timestamp } from '@relive/types'

import { get, query } from '../api/http'
import { decisionOf } from '../journal/describe'

/** How a wait of a node ended. */
export interface Decision {
  /** As a review calls it; `undefined` for another signal. */
  readonly decision: string | undefined
  /** The name of who sent it. */
  readonly by: string
  readonly at: Timestamp
  readonly revision: number
}

const pageSize = 200
/** Events that are looked through, from the end of the wait backwards; the signal stands close to it. */
const pagesAtMost = 5

/** The last signal of a node among some events; `undefined` if there is none of which is known who sent it. */
export function decisionIn(events: readonly Recorded[], nodeId: string): Decision | undefined {
  for (const { event, by, at, revision } of events.toReversed()) {
    if (event.type !== 'signalled' || event.nodeId !== nodeId) continue
    const { reviewer } = (event.payload as { review?: { reviewer?: unknown } } | null)?.review ?? {}
    // While nobody has to sign in, there is only what the reviewer says.
    const name = by?.name ?? (typeof reviewer === 'string' && reviewer !== '' ? reviewer : undefined)
    return name === undefined ? undefined : { decision: decisionOf(event.payload), by: name, at, revision }
  }
  return undefined
}

/** Looks for the signal that ended a wait, which lasted from one revision to another, if both are known. */
export async function findDecision(
  sessionId: string,
  nodeId: string,
  wait: { readonly from: number | undefined; readonly to: number },
  signal: AbortSignal,
): Promise<Decision | undefined> {
  const first = wait.from ?? 1
  let end = wait.to
  for (let page = 0; page < pagesAtMost && end >= first; page += 1) {
    const after = Math.max(first - 1, end - pageSize)
    const asked = query({ after, limit: end - after })
    const { events } = await get<EventPage>(`/sessions/${sessionId}/events${asked}`, signal)
    const found = decisionIn(events, nodeId)
    if (found !== undefined) return found
    end = after
  }
  return undefined
}
