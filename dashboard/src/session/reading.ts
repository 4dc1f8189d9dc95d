import { useSyncExternalStore } from 'react'

import { adjustView, currentPlace, onPlace } from '../app/place'

function isReading(): boolean {
  const place = currentPlace()
  return place.page === 'session' && place.view.isReading === true
}

/** Whether only the panel is shown, over the whole page: to read what was said. */
export function useIsReading(): boolean {
  return useSyncExternalStore(onPlace, isReading)
}

export function toggleReading(): void {
  adjustView({ isReading: isReading() ? undefined : true })
}
