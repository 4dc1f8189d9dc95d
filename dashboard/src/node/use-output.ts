import type { EventPage, NodeDetail, NodeStatus } from '@relive/types'
import { useEffect, useState } from 'react'

import { get, query } from '../api/http'
import { useOpenSession, useSession } from '../session/session-context'
import { shownSession } from '../session/state'

/** A node's last output at the moment that is looked at; read again when the node has changed. */
export function useOutput(nodeId: string): unknown {
  const { store } = useOpenSession()
  const isLive = useSession((state) => state.replay === undefined)
  const status = useSession((state) => shownSession(state)?.nodes[nodeId]?.status)
  const completedAt = useSession((state) => shownSession(state)?.nodes[nodeId]?.completedAt)
  const [output, setOutput] = useState<unknown>()
  useEffect(() => {
    const controller = new AbortController()
    const { id, live } = store.latest
    const isSameAsNow = isLive || (completedAt !== undefined && completedAt === live?.nodes[nodeId]?.completedAt)
    const found = isSameAsNow
      ? lastOutput(id, nodeId, controller.signal)
      : outputThen(id, nodeId, completedAt, store.shown().replay?.session?.revision, controller.signal)
    found.then(
      (value) => {
        if (!controller.signal.aborted) setOutput(value)
      },
      () => {
        // A node that is not known yet has put out nothing; a lost connection is told elsewhere.
        if (!controller.signal.aborted) setOutput(undefined)
      },
    )
    return () => controller.abort()
  }, [store, nodeId, isLive, status, completedAt])
  return output
}

/** The output of an earlier attempt: it came with the event that ended the attempt. */
async function outputThen(id: string, nodeId: string, at: string | undefined, revision: number | undefined, signal: AbortSignal): Promise<unknown> {
  if (at === undefined || revision === undefined) return undefined
  // The event stands before this revision; a page of it nearly always holds it.
  const { events } = await get<EventPage>(`/sessions/${id}/events${query({ after: Math.max(0, revision - 1000), limit: 1000 })}`, signal)
  const ended: readonly NodeStatus[] = ['completed', 'failed']
  const found = events.findLast(
    ({ event, ...recorded }) =>
      recorded.revision <= revision &&
      recorded.at === at &&
      event.type === 'nodeStatusChanged' &&
      event.nodeId === nodeId &&
      ended.includes(event.status),
  )
  return found?.event.type === 'nodeStatusChanged' ? found.event.output : undefined
}

async function lastOutput(id: string, nodeId: string, signal: AbortSignal): Promise<unknown> {
  return (await get<NodeDetail>(`/sessions/${id}/nodes/${encodeURIComponent(nodeId)}`, signal)).output
}
