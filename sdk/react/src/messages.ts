import type { Message, ReliveError } from '@relive/types'
import { type SessionState, saidBy } from '@relive/types/stores'
import { useCallback, useMemo } from 'react'
import { isAlike, useSelected } from './selected.js'
import { useSessionStore } from './session.js'
import { type Status, statusOf } from './status.js'
import { waitFor } from './suspense.js'

export interface MessagesOptions {
  /** Only those of this node. */
  nodeId?: string | undefined
  /** Only those of this agent. */
  agentId?: string | undefined
  /** Only messages up to this time (RFC 3339), such as `state.at` of a replay. */
  until?: string | undefined
  /** Suspends until the newest have been read, and throws the error if they cannot be. */
  suspense?: boolean
}

export interface MessagesResult {
  /**
   * In chronological order, followed by those that are being written, with the text so far
   * (`isStreaming`). There are no gaps, also after a reconnect.
   */
  readonly messages: readonly Message[]
  /** There are older ones. */
  readonly hasEarlier: boolean
  readonly isReading: boolean
  readonly status: Status
  readonly error: ReliveError | undefined
  /** Reads a page of older ones. At most 5 000 are held. */
  readonly readEarlier: () => Promise<void>
}

/** The messages of a session, live and word by word. */
export function useMessages(sessionId: string | undefined, options: MessagesOptions = {}): MessagesResult {
  const { nodeId, agentId, until, suspense = false } = options
  const { store, subscribe, getState } = useSessionStore(sessionId, true)
  const view = useSelected(subscribe, getState, read, isAlike)
  const messages = useMemo(() => {
    const moment = until === undefined ? Number.NaN : Date.parse(until)
    const said = Number.isNaN(moment) ? view.all : saidBy(view.all, moment)
    if (nodeId === undefined && agentId === undefined) return said
    return said.filter(
      (message) =>
        (nodeId === undefined || message.nodeId === nodeId) && (agentId === undefined || message.agentId === agentId),
    )
  }, [view.all, nodeId, agentId, until])
  const readEarlier = useCallback(async () => store?.readEarlier(), [store])
  if (suspense && store !== undefined && !view.isReady) {
    if (view.error !== undefined) throw view.error
    waitFor(store.ready({ messages: true }))
  }
  const { hasEarlier, isReading, status, error } = view
  return { messages, hasEarlier, isReading, status, error, readEarlier }
}

function read({ messages, end, error: over }: SessionState) {
  const { all, hasEarlier, isReady, isReading } = messages
  const error = over ?? messages.error
  return { all, hasEarlier, isReady, isReading, error, status: statusOf(error, end !== undefined, isReady) }
}
