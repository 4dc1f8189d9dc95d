import { useVirtualizer, type VirtualItem } from '@tanstack/react-virtual'
import { type RefObject, useEffect, useRef } from 'react'

import { useStore } from '../store/use-store'
import type { ListFeed } from './list-feed'
import { useHeldRow } from './use-held-row'

/** Rows before the end at which older ones are requested. */
const readAhead = 40

/** Whatever is listed, by an id of its own. */
export interface Listed {
  readonly id: string
}

interface SessionRows {
  /** The rows to render: those in view, and some around them. */
  readonly rows: readonly VirtualItem[]
  readonly height: number
  readonly scroller: RefObject<HTMLDivElement | null>
  scrollTo(index: number): void
}

/** The rows of a list in view; older sessions are read as the user scrolls. */
export function useSessionRows(feed: ListFeed, listed: readonly Listed[], rowHeight: number): SessionRows {
  const hasMore = useStore(feed.store, (state) => state.hasMore)
  const scroller = useRef<HTMLDivElement>(null)
  const list = useVirtualizer({
    count: listed.length,
    getScrollElement: () => scroller.current,
    estimateSize: () => rowHeight,
    getItemKey: (index) => listed[index]?.id ?? index,
    overscan: 12,
  })
  useHeldRow(feed, listed, rowHeight, scroller)
  const rows = list.getVirtualItems()
  const lastShown = rows.at(-1)?.index ?? 0
  useEffect(() => {
    if (hasMore && lastShown > listed.length - readAhead) void feed.readMore()
  }, [feed, hasMore, lastShown, listed.length])
  return { rows, height: list.getTotalSize(), scroller, scrollTo: (index) => list.scrollToIndex(index) }
}
