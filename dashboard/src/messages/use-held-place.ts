import type { Virtualizer } from '@tanstack/react-virtual'
import { type RefObject, useLayoutEffect, useRef } from 'react'

import type { AttemptGroup } from './grouping'

/** Where the upper edge stands in the group that it cuts. */
interface Place {
  readonly top: number
  readonly key: string
  readonly firstId: string | undefined
  readonly fromStart: number
  readonly toEnd: number
}

/**
 * Keeps what is being read where it is when messages come, or go, above it, and when those above turn
 * out larger than they were taken for. `note` is to be told of every scrolling.
 */
export function useHeldPlace(
  scroller: RefObject<HTMLDivElement | null>,
  list: Virtualizer<HTMLDivElement, Element>,
  groups: readonly AttemptGroup[],
  isHeld: () => boolean,
): { note(): void } {
  const place = useRef<Place>(undefined)
  // The list would do the same in part, from where it believes to stand: one of the two has to.
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
  // biome-ignore lint/correctness/useExhaustiveDependencies: changes of the list's height are those of what is in it.
  useLayoutEffect(() => {
    const element = scroller.current
    const held = place.current
    if (element === null || held === undefined || !isHeld()) return
    // Somebody has scrolled, and that has not been told yet: where they are now is right.
    if (Math.abs(element.scrollTop - held.top) >= 1) {
      note()
      return
    }
    // Measures taken since the list was drawn are in its cache only once it has been asked again.
    list.getTotalSize()
    const index = groups.findIndex(({ key }) => key === held.key)
    const item = index < 0 ? undefined : list.measurementsCache[index]
    if (item === undefined) {
      note()
      return
    }
    // A group that has got another beginning has grown there, any other at its end.
    const top = groups[index]?.messages[0]?.id === held.firstId ? item.start + held.fromStart : item.end - held.toEnd
    if (Math.abs(element.scrollTop - top) < 1) return
    element.scrollTop = top
    note()
  }, [groups, list.getTotalSize()])
  return {
    note: () => {
      // The echo of what was set here: the place is still to be held, also if what is above has grown since.
      const isEcho = place.current !== undefined && Math.abs((scroller.current?.scrollTop ?? 0) - place.current.top) < 1
      if (!isEcho) note()
    },
  }
}
