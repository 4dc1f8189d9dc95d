import type { SessionEntity } from '@relive/types'
import { useEffect, useState } from 'react'

import { get } from '../api/http'
import { useOpenSession, useReadableSession } from '../session/session-context'

/** How long changes of a run are gathered before its values are read again: only few of them change these. */
const restMs = 2000

/** The inputs, the proposal and the outputs of the run as they are now; `undefined` until they have been read. */
export function useEntity(): SessionEntity | undefined {
  const { store } = useOpenSession()
  const revision = useReadableSession((state) => state.live?.revision)
  const status = useReadableSession((state) => state.live?.status)
  const [entity, setEntity] = useState<SessionEntity>()
  const heldAt = entity?.status === status ? entity?.revision : undefined
  useEffect(() => {
    if (revision === undefined || heldAt === revision) return
    const controller = new AbortController()
    const read = async () => {
      try {
        const found = await get<SessionEntity>(`/sessions/${store.latest.id}/entity`, controller.signal)
        if (!controller.signal.aborted) setEntity(found)
      } catch {
        // A lost connection is told elsewhere; the next change asks again.
      }
    }
    const timer = setTimeout(() => void read(), heldAt === undefined ? 0 : restMs)
    return () => {
      clearTimeout(timer)
      controller.abort()
    }
  }, [store, revision, heldAt])
  return entity
}
