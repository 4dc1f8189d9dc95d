import { type SessionCount, sessionQuery } from '@relive/types'
import { useEffect, useMemo, useRef } from 'react'

import type { ListFilters } from '../app/address'
import { useRead } from '../more/use-read'
import { toSessionFilters } from './condition'

/** Lists that change are not counted more often. */
const everyMs = 10_000

/**
 * How many sessions the server has for these filters; `undefined` until it has said so, where it does not have to be
 * asked, and for a filter that it does not have. `newest` is a row that changes with what is listed.
 */
export function useCount(filters: ListFilters, isAsked: boolean, newest: string | undefined): SessionCount | undefined {
  // As the list itself, which is not asked for anew because time passes.
  const path = useMemo(() => `/sessions/count${sessionQuery(toSessionFilters(filters, Date.now()))}`, [filters])
  const { value, reload } = useRead<SessionCount>(isAsked && !filters.isWaiting ? path : undefined)
  const askedAt = useRef(Date.now())
  useEffect(() => {
    if (!isAsked) return
    const timer = setTimeout(
      () => {
        askedAt.current = Date.now()
        reload()
      },
      Math.max(0, askedAt.current + everyMs - Date.now()),
    )
    return () => clearTimeout(timer)
  }, [newest, isAsked, reload])
  return value
}
