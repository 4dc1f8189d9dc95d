import { useEffect } from 'react'

import { adjustView, currentPlace } from '../app/place'
import { useOpenSession } from './session-context'

/** How long the moment must rest before it is written into the address. */
const restMs = 250

/** Keeps the moment in the address, so that a link leads to it; and goes where an address leads. */
export function useMomentInAddress(): void {
  const { store, player } = useOpenSession()
  useEffect(() => {
    const place = currentPlace()
    const wanted = place.page === 'session' ? place.view.revision : undefined
    let isSettled = wanted === undefined
    let timer: number | undefined
    const write = () => {
      timer = undefined
      const { replay } = store.shown()
      const now = currentPlace()
      if (now.page !== 'session' || now.sessionId !== store.shown().id) return
      const revision = replay === undefined || replay.state?.playing ? undefined : replay.state?.revision
      if (replay?.state === undefined && replay !== undefined) return
      if (now.view.revision !== revision) adjustView({ revision })
    }
    const follow = () => {
      const { live } = store.shown()
      if (!isSettled && live !== undefined && wanted !== undefined) {
        isSettled = true
        if (wanted < live.revision) player.seek({ revision: wanted })
      }
      if (isSettled) timer ??= window.setTimeout(write, restMs)
    }
    follow()
    const stop = store.subscribe(follow)
    return () => {
      stop()
      clearTimeout(timer)
    }
  }, [store, player])
}
