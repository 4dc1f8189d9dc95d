import type { NodeDetail } from '@relive/types'
import { useEffect, useState } from 'react'

import { get, query } from '../api/http'
import { useOpenSession, useSession } from '../session/session-context'
import { shownSession } from '../session/state'

/** The last output of a node at the selected moment; read again when the node has changed. */
export function useOutput(nodeId: string): unknown {
  const { store } = useOpenSession()
  const isLive = useSession(({ replay }) => replay === undefined)
  /** A replay that has just begun has no position yet. */
  const isSomewhere = useSession(({ replay }) => replay === undefined || replay.session !== undefined)
  const status = useSession((state) => shownSession(state)?.nodes[nodeId]?.status)
  const attempt = useSession((state) => shownSession(state)?.nodes[nodeId]?.attempt)
  const completedAt = useSession((state) => shownSession(state)?.nodes[nodeId]?.completedAt)
  const [output, setOutput] = useState<unknown>()
  useEffect(() => {
    if (!isSomewhere) return
    const controller = new AbortController()
    const { id, replay } = store.shown()
    outputAt(id, nodeId, replay?.session?.revision, controller.signal).then(
      (value) => {
        if (!controller.signal.aborted) setOutput(value)
      },
      () => {
        // A node that is not known yet has no output; a lost connection is reported elsewhere.
        if (!controller.signal.aborted) setOutput(undefined)
      },
    )
    return () => controller.abort()
  }, [store, nodeId, isLive, isSomewhere, status, attempt, completedAt])
  return output
}

/** At a revision, or now. */
async function outputAt(
  id: string,
  nodeId: string,
  revision: number | undefined,
  signal: AbortSignal,
): Promise<unknown> {
  return (await get<NodeDetail>(`/sessions/${id}/nodes/${encodeURIComponent(nodeId)}${query({ revision })}`, signal))
    .output
}
