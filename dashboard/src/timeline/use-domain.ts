import { useCallback, useEffect, useRef, useSyncExternalStore } from 'react'

import { knownNow } from '../app/known-now'
import { useMoment, useOpenSession } from '../session/session-context'
import type { SessionState } from '../session/state'
import type { FrameStore } from '../store/frame-store'
import { onTick } from '../ui/ticking-text'
import { type Domain, domainOf } from './domain'

const domains = new WeakMap<FrameStore<SessionState>, Domain>()

/** The range that the timeline and the scrubber show; another object only if it has changed. */
export function useDomain(): Domain {
  const { store } = useOpenSession()
  const subscribe = useCallback(
    (listener: () => void) => {
      const stops = [store.subscribe(listener), onTick(listener)]
      return () => stops.forEach((stop) => stop())
    },
    [store],
  )
  return useSyncExternalStore(subscribe, () => {
    const next = domainOf(store.shown(), knownNow())
    const held = domains.get(store)
    if (held !== undefined && held.start === next.start && held.end === next.end) return held
    domains.set(store, next)
    return next
  })
}

/** Calls `move` with the moment whenever it has changed: every frame of a replay, ten times per second live. */
export function useMovingMoment(move: (moment: number) => void): void {
  const { store } = useOpenSession()
  const moment = useMoment()
  const newest = useRef({ move, moment })
  newest.current = { move, moment }
  useEffect(() => {
    const run = () => newest.current.move(newest.current.moment())
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
    const stops = [store.subscribe(follow), onTick(run)]
    return () => {
      stops.forEach((stop) => stop())
      if (frame !== undefined) cancelAnimationFrame(frame)
    }
  }, [store])
  // The domain or the size may have changed with this rendering.
  useEffect(() => move(moment()))
}
