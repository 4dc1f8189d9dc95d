import { useCallback, useEffect, useRef, useSyncExternalStore } from 'react'

import { useMoment, useOpenSession } from '../session/session-context'
import { shownSession } from '../session/state'
import { onTick } from '../ui/ticking-text'
import { type Axis, placeOf } from './axis'
import { axisOptions, type TimelineView, viewOf } from './timeline-view'

export function useTimelineView(): TimelineView {
  return viewOf(useOpenSession().store)
}

/** The axis of the timeline and the scrubber; another object only if it has changed. */
export function useAxis(): Axis {
  const { store } = useOpenSession()
  const subscribe = useCallback(
    (listener: () => void) => {
      const stops = [store.subscribe(listener), onTick(listener), axisOptions.subscribe(listener)]
      return () => stops.forEach((stop) => stop())
    },
    [store],
  )
  return useSyncExternalStore(subscribe, () => viewOf(store).axis())
}

/** A part of the view; rendered again only when that part is another object. */
export function useView<Part>(select: (view: TimelineView) => Part): Part {
  const view = useTimelineView()
  return useSyncExternalStore(view.subscribe, () => select(view))
}

/**
 * Calls `move` with the position of the moment whenever it has changed: every frame of a replay, ten times per second
 * live.
 */
export function useMovingMoment(move: (at: number) => void): void {
  const { store } = useOpenSession()
  const moment = useMoment()
  const place = () => {
    const state = store.shown()
    // Of several changes in one millisecond, a replay that stands says which were.
    const revision = state.replay?.target === undefined ? shownSession(state)?.revision : undefined
    return placeOf(viewOf(store).axis(), moment(), revision)
  }
  const newest = useRef({ move, place })
  newest.current = { move, place }
  useEffect(() => {
    const run = () => newest.current.move(newest.current.place())
    let frame: number | undefined
    const follow = () => {
      run()
      const isPlaying = store.shown().replay?.state?.playing === true
      if (isPlaying && frame === undefined) frame = requestAnimationFrame(next)
    }
    const next = () => {
      frame = undefined
      follow()
    }
    follow()
    const stops = [store.subscribe(follow), onTick(run), viewOf(store).subscribe(run)]
    return () => {
      stops.forEach((stop) => stop())
      if (frame !== undefined) cancelAnimationFrame(frame)
    }
  }, [store])
  // The axis or the size may have changed with this rendering.
  useEffect(() => move(place()))
}
