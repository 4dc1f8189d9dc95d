import type { SessionListWatch, SessionPage, SessionSummary } from '@relive/types'
import { useEffect, useState } from 'react'

import { get, query } from '../api/http'
import { client } from '../app/client'
import { useSession } from '../session/session-context'
import { hasEnded } from '../status/status'

/** Runs of one parent that are followed. */
const runsAtMost = 100
/** How often is looked for the first one, while the run goes on. */
const lookMs = 15_000

type ByNode = ReadonlyMap<string, readonly SessionSummary[]>
const none: ByNode = new Map()

/** The runs that nodes of this one have started, by node, the oldest first. Most runs have none, and no socket for them. */
export function useSubRuns(): ByNode {
  const id = useSession((state) => (state.live === undefined ? undefined : state.id))
  const isOver = useSession((state) => state.live !== undefined && hasEnded(state.live.status))
  const [runs, setRuns] = useState(none)
  useEffect(() => {
    if (id === undefined || id === 'preview') return
    const controller = new AbortController()
    let watch: SessionListWatch | undefined
    let timer: ReturnType<typeof setTimeout> | undefined
    const follow = () => {
      watch = client.watchSessions(
        { parentSessionId: id, limit: runsAtMost },
        { onSessions: (sessions) => setRuns(byNode([...sessions.values()])), onError: () => undefined },
      )
    }
    const look = async () => {
      try {
        const path = `/sessions${query({ parentSessionId: id, limit: 1 })}`
        const { sessions } = await get<SessionPage>(path, controller.signal)
        if (controller.signal.aborted) return
        if (sessions.length > 0) return follow()
      } catch {
        // A guest may not list sessions; a lost connection is told of elsewhere.
        if (controller.signal.aborted) return
      }
      if (!isOver) timer = setTimeout(() => void look(), lookMs)
    }
    void look()
    return () => {
      controller.abort()
      clearTimeout(timer)
      watch?.close()
    }
  }, [id, isOver])
  return runs
}

function byNode(sessions: readonly SessionSummary[]): ByNode {
  const runs = new Map<string, SessionSummary[]>()
  for (const session of [...sessions].reverse().slice(0, runsAtMost)) {
    if (session.parentNodeId === undefined) continue
    runs.set(session.parentNodeId, [...(runs.get(session.parentNodeId) ?? []), session])
  }
  return runs
}
