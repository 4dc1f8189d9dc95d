import type { SessionSummary } from '@relive/types'
import { useVirtualizer, type VirtualItem } from '@tanstack/react-virtual'
import { type RefObject, useEffect, useRef } from 'react'

import { useStore } from '../store/use-store'
import type { ListFeed } from './list-feed'
import { useHeldRow } from './use-held-row'

/** Rows before the end at which older ones are requested. */
const readAhead = 40

interface SessionRows {
  readonly sessions: readonly SessionSummary[]
  /** The rows to render: those in view, and some around them. */
  readonly rows: readonly VirtualItem[]
  readonly height: number
  readonly scroller: RefObject<HTMLDivElement | null>
  scrollTo(index: number): void
}

/** The rows of a list in view; older sessions are read as the user scrolls. */
export function useSessionRows(feed: ListFeed, rowHeight: number): SessionRows {
  const sessions = useStore(feed.store, (state) => state.sessions)
  const hasMore = useStore(feed.store, (state) => state.hasMore)
  const scroller = useRef<HTMLDivElement>(null)
  const list = useVirtualizer({
    count: sessions.length,
    getScrollElement: () => scroller.current,
    estimateSize: () => rowHeight,
    getItemKey: (index) => sessions[index]?.id ?? index,
    overscan: 12,
  })
  useHeldRow(feed, sessions, rowHeight, scroller)
  const rows = list.getVirtualItems()
  const lastShown = rows.at(-1)?.index ?? 0
  useEffect(() => {
    if (hasMore && lastShown > sessions.length - readAhead) void feed.readMore()
  }, [feed, hasMore, lastShown, sessions.length])
  return { sessions, rows, height: list.getTotalSize(), scroller, scrollTo: (index) => list.scrollToIndex(index) }
}
