import type { ReliveError, SessionFilters, SessionSummary } from '@relive/types'
import { filtersKey, type ListState } from '@relive/types/stores'
import { useCallback, useMemo } from 'react'
import { useStores } from './provider.js'
import { isAlike, useSelected } from './selected.js'
import { type Status, statusOf } from './status.js'
import { waitFor } from './suspense.js'

export interface SessionsOptions {
  /** Suspends until the first rows have come, and throws the error if there are none. */
  suspense?: boolean
}

export interface SessionsResult {
  /** Newest first. A row that has not changed is the same object as before. */
  readonly sessions: readonly SessionSummary[]
  /** There are older ones. */
  readonly hasMore: boolean
  readonly status: Status
  readonly error: ReliveError | undefined
  /** Reads the next older page, from then on as live as the rest. Rejects with a `ReliveError`. */
  readonly readMore: () => Promise<void>
  /** Watches again after it has `failed`. */
  readonly retry: () => void
}

/**
 * The live list of the sessions that match. Components with equal filters share one list; each list has a socket of
 * its own.
 */
export function useSessions(filters: SessionFilters = {}, { suspense = false }: SessionsOptions = {}): SessionsResult {
  const stores = useStores()
  const key = filtersKey(filters)
  // biome-ignore lint/correctness/useExhaustiveDependencies: filters count by what they say, not by identity.
  const same = useMemo(() => filters, [key])
  const store = stores.list(same)
  const view = useSelected(store.subscribe, store.getState, read, isAlike)
  const readMore = useCallback(() => store.readMore(), [store])
  const retry = useCallback(() => store.retry(), [store])
  if (suspense && view.status === 'loading') waitFor(store.ready())
  if (suspense && view.error !== undefined && view.sessions.length === 0) throw view.error
  return { ...view, readMore, retry }
}

function read({ sessions, hasMore, isReady, error }: ListState) {
  return { sessions, hasMore, error, status: statusOf(error, false, isReady) }
}
