import { type RefObject, useEffect, useLayoutEffect, useRef } from 'react'

import type { ListFeed } from './list-feed'

/** The row at the upper edge, and how far the list is scrolled into it. */
export interface HeldRow {
  readonly id: string
  readonly into: number
}

/** By list and height of its rows: the pages share lists, and come back to where they were. */
const held = new WeakMap<ListFeed, Map<number, HeldRow>>()

export function rowAt(
  sessions: readonly { readonly id: string }[],
  top: number,
  rowHeight: number,
): HeldRow | undefined {
  // At the very top nothing is held: there, new runs are what one wants to see.
  if (top < 1) return undefined
  const session = sessions[Math.floor(top / rowHeight)]
  return session && { id: session.id, into: top % rowHeight }
}

export function topOf(
  sessions: readonly { readonly id: string }[],
  row: HeldRow,
  rowHeight: number,
): number | undefined {
  const index = sessions.findIndex(({ id }) => id === row.id)
  return index < 0 ? undefined : index * rowHeight + row.into
}

/** Keeps what is being read in its place while rows are added or go above it, and when the page is left and opened again. */
export function useHeldRow(
  feed: ListFeed,
  sessions: readonly { readonly id: string }[],
  rowHeight: number,
  scroller: RefObject<HTMLDivElement | null>,
): void {
  const newest = useRef(sessions)
  useEffect(() => {
    const element = scroller.current
    if (element === null) return
    const note = () => {
      const rows = held.get(feed) ?? new Map<number, HeldRow>()
      held.set(feed, rows)
      const row = rowAt(newest.current, element.scrollTop, rowHeight)
      if (row === undefined) rows.delete(rowHeight)
      else rows.set(rowHeight, row)
    }
    element.addEventListener('scroll', note, { passive: true })
    return () => element.removeEventListener('scroll', note)
  }, [feed, rowHeight, scroller])
  useLayoutEffect(() => {
    newest.current = sessions
    const element = scroller.current
    const row = held.get(feed)?.get(rowHeight)
    const top = row && topOf(sessions, row, rowHeight)
    if (element !== null && top !== undefined && Math.abs(element.scrollTop - top) >= 1) element.scrollTop = top
  }, [feed, sessions, rowHeight, scroller])
}
