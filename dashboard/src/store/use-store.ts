import { useSyncExternalStore } from 'react'

import type { FrameStore } from './frame-store'

/** A part of a store. `select` must return the same object while that part is unchanged. */
export function useStore<State, Part>(store: FrameStore<State>, select: (state: State) => Part): Part {
  return useSyncExternalStore(store.subscribe, () => select(store.shown()))
}
