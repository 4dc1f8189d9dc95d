import { useSyncExternalStore } from 'react'

function onResize(listener: () => void): () => void {
  addEventListener('resize', listener)
  return () => removeEventListener('resize', listener)
}

/** In pixels of style sheets. */
export function useWindowWidth(): number {
  return useSyncExternalStore(onResize, () => innerWidth)
}
