import type { ReliveError, WorkflowSession } from '@relive/types'
import type { SessionState } from '@relive/types/stores'
import { useCallback } from 'react'
import { useStores } from './provider.js'
import { isAlike, useSelected } from './selected.js'
import { type Status, statusOf } from './status.js'
import { waitFor } from './suspense.js'

export interface SessionOptions<Selected> {
  /**
   * What the component needs of the session. It is rendered again only when that has become another: by identity, or if
   * it is an object or an array of its own, when a member has.
   */
  select?: (session: WorkflowSession) => Selected
  /** When two selections count as the same. */
  isEqual?: (a: Selected, b: Selected) => boolean
  /** Suspends until the first state has come, and throws the error if there is none. */
  suspense?: boolean
}

export interface SessionResult<Selected> {
  /** The newest session, or what was selected of it; `undefined` while `loading`. Frozen. */
  readonly data: Selected
  readonly status: Status
  /** Why it has `failed`. */
  readonly error: ReliveError | undefined
  /** Watches again after it has `failed`. */
  readonly retry: () => void
}

const nothing: SessionState = {
  session: undefined,
  end: undefined,
  error: undefined,
  messages: { all: [], hasEarlier: false, isReady: false, isReading: false, error: undefined },
}

/** The session's store, or none as long as there is no id. */
export function useSessionStore(sessionId: string | undefined, messages: boolean) {
  const stores = useStores()
  const store = sessionId === undefined ? undefined : stores.session(sessionId)
  const subscribe = useCallback(
    (listener: () => void) => store?.subscribe(listener, { messages }) ?? (() => {}),
    [store, messages],
  )
  const getState = useCallback(() => store?.getState() ?? nothing, [store])
  const retry = useCallback(() => store?.retry(), [store])
  return { store, subscribe, getState, retry }
}

/**
 * A session, live. Any number of components may watch the same one, on one subscription. Without an id it waits.
 */
export function useSession<Selected = WorkflowSession>(
  sessionId: string,
  options: SessionOptions<Selected> & { suspense: true },
): SessionResult<Selected>
export function useSession<Selected = WorkflowSession>(
  sessionId: string | undefined,
  options?: SessionOptions<Selected>,
): SessionResult<Selected | undefined>
export function useSession<Selected>(
  sessionId: string | undefined,
  { select, isEqual = isAlike, suspense = false }: SessionOptions<Selected> = {},
): SessionResult<Selected | undefined> {
  const { store, subscribe, getState, retry } = useSessionStore(sessionId, false)
  const read = useCallback(
    ({ session, end, error }: SessionState) => ({
      data: session === undefined ? undefined : select === undefined ? (session as Selected) : select(session),
      status: statusOf(error, end !== undefined, session !== undefined),
      error,
    }),
    [select],
  )
  const isSame = useCallback(
    (a: ReturnType<typeof read>, b: ReturnType<typeof read>) =>
      a.status === b.status &&
      a.error === b.error &&
      (Object.is(a.data, b.data) || (a.data !== undefined && b.data !== undefined && isEqual(a.data, b.data))),
    [isEqual],
  )
  const result = useSelected(subscribe, getState, read, isSame)
  if (suspense && store !== undefined && result.data === undefined) {
    if (result.error !== undefined) throw result.error
    if (result.status === 'loading') waitFor(store.ready())
  }
  return { ...result, retry }
}
