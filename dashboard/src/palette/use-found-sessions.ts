import type { SessionPage, SessionSummary } from '@relive/types'
import { useEffect, useState } from 'react'

import { get, query } from '../api/http'

const restMs = 150
const sessionsAtMost = 12

interface Found {
  readonly sessions: readonly SessionSummary[]
  /** False while these are of an earlier text. */
  readonly isCurrent: boolean
}

/** Sessions with this text, the newest first; without one the newest of all. Those found before stay meanwhile. */
export function useFoundSessions(text: string): Found {
  const [found, setFound] = useState<{ sessions: readonly SessionSummary[]; of: string }>({ sessions: [], of: '' })
  const wanted = text.trim().slice(0, 200)
  useEffect(() => {
    const reading = new AbortController()
    const read = () => {
      get<SessionPage>(`/sessions${query({ text: wanted, limit: sessionsAtMost })}`, reading.signal).then(
        ({ sessions }) => setFound({ sessions, of: wanted }),
        // Pages and actions are there all the same.
        () => undefined,
      )
    }
    const timer = setTimeout(read, wanted === '' ? 0 : restMs)
    return () => {
      clearTimeout(timer)
      reading.abort()
    }
  }, [wanted])
  return { sessions: found.sessions, isCurrent: found.of === wanted }
}
