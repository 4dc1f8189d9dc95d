import { useEffect } from 'react'

import { adjustView, currentPlace, onReturn, stepView } from '../app/place'
import { useOpenSession } from './session-context'

/** How long the moment must be unchanged before it is written to the address. */
const restMs = 250

/**
 * Keeps the moment in the address, so that it can be linked to; and follows the address, also when the user
 * navigates back and forward. Leaving the newest state and returning to it add entries to the history;
 * other changes of the moment do not.
 */
export function useMomentInAddress(): void {
  const { store, player } = useOpenSession()
  useEffect(() => {
    let isThere = false
    let timer: number | undefined
    const view = () => {
      const place = currentPlace()
      return place.page === 'session' && place.sessionId === store.shown().id ? place.view : undefined
    }
    const write = () => {
      timer = undefined
      const { replay } = store.shown()
      const now = view()
      // While the moment changes by itself the address is unchanged; the moment at which it stops is written.
      if (now === undefined || !isThere || replay?.isSeeking || replay?.state?.playing) return
      const revision = replay?.state?.revision
      if (now.revision === revision) return
      if (now.revision === undefined || revision === undefined) stepView({ revision })
      else adjustView({ revision })
    }
    const goThere = () => {
      const { live, replay } = store.shown()
      const wanted = view()
      if (live === undefined || wanted === undefined) return
      isThere = true
      if (wanted.revision === undefined || wanted.revision >= live.revision) {
        if (replay !== undefined) player.goLive()
      } else if (replay === undefined || replay.isSeeking || replay.state?.revision !== wanted.revision)
        player.seek({ revision: wanted.revision })
    }
    const follow = () => {
      if (!isThere) goThere()
      timer ??= window.setTimeout(write, restMs)
    }
    follow()
    const stops = [
      store.subscribe(follow),
      onReturn(() => {
        isThere = false
        goThere()
      }),
    ]
    return () => {
      stops.forEach((stop) => stop())
      clearTimeout(timer)
    }
  }, [store, player])
}
