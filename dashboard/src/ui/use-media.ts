import { useSyncExternalStore } from 'react'

/** Phones, and windows as narrow: as in `narrow.css`. */
const narrow = matchMedia('(max-width: 860px)')

function onChange(listener: () => void): () => void {
  narrow.addEventListener('change', listener)
  return () => narrow.removeEventListener('change', listener)
}

export function useIsNarrow(): boolean {
  return useSyncExternalStore(onChange, () => narrow.matches)
}
