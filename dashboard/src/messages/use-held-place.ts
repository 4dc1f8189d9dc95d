import type { Virtualizer } from '@tanstack/react-virtual'
import { useLayoutEffect, useRef, type RefObject } from 'react'

import type { AttemptGroup } from './grouping'

interface Place {
  /** The group at the upper edge. */
  readonly key: string
  /** How far its end is below that edge: it may grow at its beginning. */
  readonly toEnd: number
}

/** Keeps what is being read where it is when messages come, or go, above it. */
export function useHeldPlace(
  scroller: RefObject<HTMLDivElement | null>,
  list: Virtualizer<HTMLDivElement, Element>,
  groups: readonly AttemptGroup[],
  firstId: string | undefined,
): { note(): void } {
  const place = useRef<Place>(undefined)
  const note = () => {
    const element = scroller.current
    if (element === null) return
    const top = list.getVirtualItemForOffset(element.scrollTop)
    const group = top && groups[top.index]
    place.current = group && { key: group.key, toEnd: top.end - element.scrollTop }
  }
  useLayoutEffect(() => {
    const element = scroller.current
    const held = place.current
    if (element === null || held === undefined) return
    const index = groups.findIndex(({ key }) => key === held.key)
    const item = index < 0 ? undefined : list.measurementsCache[index]
    if (item !== undefined) element.scrollTop = item.end - held.toEnd
    // Only what is put before the first message, or taken away there, moves what follows.
  }, [firstId])
  return { note }
}
