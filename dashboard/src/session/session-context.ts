import { createContext, useContext, useMemo, useSyncExternalStore } from 'react'

import { knownNow } from '../app/known-now'
import type { MessageReader } from '../messages/message-reader'
import type { Player } from '../replay/player'
import type { FrameStore } from '../store/frame-store'
import { throttle } from '../store/throttle'
import { useStore } from '../store/use-store'
import { momentOf, type SessionState } from './state'

/** What the parts of a session's page share. */
export interface OpenSession {
  readonly store: FrameStore<SessionState>
  readonly player: Player
  readonly messages: MessageReader
}

export const SessionContext = createContext<OpenSession | undefined>(undefined)

export function useOpenSession(): OpenSession {
  const open = useContext(SessionContext)
  if (open === undefined) throw new Error('used outside of a session page')
  return open
}

/** A part of the session's state; rendered again only when that part is another object. */
export function useSession<Part>(select: (state: SessionState) => Part): Part {
  return useStore(useOpenSession().store, select)
}

/** A text that changes faster than this cannot be read, and rendering it takes time from animations. */
const readableMs = 120

/** As `useSession`, for texts: rendered again at most about eight times per second. */
export function useReadableSession<Part>(select: (state: SessionState) => Part): Part {
  const { store } = useOpenSession()
  const subscribe = useMemo(() => throttle(store.subscribe, readableMs), [store])
  return useSyncExternalStore(subscribe, () => select(store.shown()))
}

/** The selected time, milliseconds since 1970; a function, since it changes continuously. */
export function useMoment(): () => number {
  const { store } = useOpenSession()
  return () => momentOf(store.shown(), knownNow(), performance.now())
}
