import type { Virtualizer } from '@tanstack/react-virtual'
import { type RefObject, useLayoutEffect, useRef } from 'react'

import type { AttemptGroup } from './grouping'

/** The scroll position, relative to the group at the upper edge. */
interface Place {
  readonly top: number
  readonly key: string
  /** Earlier messages may come to stand in front of it, in the same group. */
  readonly firstId: string | undefined
  readonly fromStart: number
  readonly toEnd: number
}

/**
 * Keeps the scroll position when messages are added or removed above it, and when groups above it turn
 * out to be larger than estimated. `note` must be called at every scroll event.
 */
export function useHeldPlace(
  scroller: RefObject<HTMLDivElement | null>,
  list: Virtualizer<HTMLDivElement, Element>,
  groups: readonly AttemptGroup[],
  isHeld: () => boolean,
): { note(): void } {
  const place = useRef<Place>(undefined)
  // The list would do the same in part, from its own estimate of the position: only one of the two may.
  list.shouldAdjustScrollPositionOnItemSizeChange = () => false
  const note = () => {
    const element = scroller.current
    if (element === null) return
    const item = list.getVirtualItemForOffset(element.scrollTop)
    const group = item && groups[item.index]
    place.current = group && {
      top: element.scrollTop,
      key: group.key,
      firstId: group.messages[0]?.id,
      fromStart: element.scrollTop - item.start,
      toEnd: item.end - element.scrollTop,
    }
  }
  // biome-ignore lint/correctness/useExhaustiveDependencies: the height of the list changes with its content.
  useLayoutEffect(() => {
    const element = scroller.current
    const held = place.current
    if (element === null || held === undefined || !isHeld()) return
    // The user has scrolled, and the event has not arrived yet: the current position is right.
    if (Math.abs(element.scrollTop - held.top) >= 1) {
      note()
      return
    }
    // Sizes measured since the list was rendered are in its cache only after this call.
    list.getTotalSize()
    const index = groups.findIndex(
      ({ key, messages }) => key === held.key || messages.some(({ id }) => id === held.firstId),
    )
    const item = index < 0 ? undefined : list.measurementsCache[index]
    if (item === undefined) {
      note()
      return
    }
    // A group with a new beginning has grown at its beginning, any other at its end.
    const top = groups[index]?.messages[0]?.id === held.firstId ? item.start + held.fromStart : item.end - held.toEnd
    if (Math.abs(element.scrollTop - top) < 1) return
    element.scrollTop = top
    note()
  }, [groups, list.getTotalSize()])
  return {
    note: () => {
      // The event of the scrolling done here: the position stays held, even if the groups above have grown since.
      const isEcho = place.current !== undefined && Math.abs((scroller.current?.scrollTop ?? 0) - place.current.top) < 1
      if (!isEcho) note()
    },
  }
}
