import type { SessionListWatch, SessionSummary } from '@relive/types'

import { client } from '../app/client'
import { FrameStore } from '../store/frame-store'

export interface Waiting {
  /** The sessions in which something waits for somebody, those that wait longest first. */
  readonly sessions: readonly SessionSummary[]
  readonly isLoaded: boolean
}

/** Pages of live sessions that are looked through; later changes are told of all sessions. */
const pagesAtMost = 5
const pageSize = 200

export const waiting = new FrameStore<Waiting>({ sessions: [], isLoaded: false })

export function isWaiting({ status, nodeCounts }: SessionSummary): boolean {
  return (status === 'running' || status === 'paused') && (nodeCounts.suspended ?? 0) > 0
}

/** Nothing else is told of a session that waits, so what was last updated first has waited longest. */
export function inOrderOfWaiting(sessions: Iterable<SessionSummary>): readonly SessionSummary[] {
  return [...sessions].filter(isWaiting).sort((a, b) => a.updatedAt.localeCompare(b.updatedAt))
}

function areSame(a: readonly SessionSummary[], b: readonly SessionSummary[]): boolean {
  return a.length === b.length && a.every((session, index) => session === b[index])
}

/** Follows all sessions that go on, until the returned function is called. `found` is told of those that begin to wait. */
export function followWaiting(found: (session: SessionSummary) => void): () => void {
  let pages = 0
  let isOver = false
  const known = new Set<string>()
  const watch: SessionListWatch = client.watchSessions(
    { status: ['running', 'paused'], limit: pageSize },
    {
      onSessions: (all) => {
        if (isOver) return
        const sessions = inOrderOfWaiting(all.values())
        const isFirst = !waiting.latest.isLoaded
        for (const session of sessions) {
          if (!isFirst && !known.has(session.id)) found(session)
          known.add(session.id)
        }
        for (const id of known) if (!sessions.some((session) => session.id === id)) known.delete(id)
        if (isFirst || !areSame(sessions, waiting.latest.sessions)) waiting.update({ sessions, isLoaded: true })
        pages += 1
        if (watch.hasMore && pages < pagesAtMost) void watch.readMore().catch(() => undefined)
      },
      // Without a list nothing is counted; the pages themselves say what is wrong.
      onError: () => waiting.update({ sessions: [], isLoaded: true }),
    },
  )
  return () => {
    isOver = true
    watch.close()
    waiting.update({ sessions: [], isLoaded: false })
  }
}
