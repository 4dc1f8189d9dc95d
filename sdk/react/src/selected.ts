import { useDebugValue, useEffect, useMemo, useRef, useSyncExternalStore } from 'react'

/** The same, or with the same members: what a selection of several members is compared by. */
export function isAlike(a: unknown, b: unknown): boolean {
  if (Object.is(a, b)) return true
  if (typeof a !== 'object' || typeof b !== 'object' || a === null || b === null) return false
  if (Array.isArray(a) !== Array.isArray(b)) return false
  const keys = Object.keys(a)
  return (
    keys.length === Object.keys(b).length &&
    keys.every(
      (key) =>
        Object.hasOwn(b, key) && Object.is((a as Record<string, unknown>)[key], (b as Record<string, unknown>)[key]),
    )
  )
}

/**
 * What `select` makes of a store's state. The component is rendered again only when that has become another, and gets
 * the same object until then, also when `select` is a new function on each render.
 */
export function useSelected<State, Selected>(
  subscribe: (listener: () => void) => () => void,
  getState: () => State,
  select: (state: State) => Selected,
  isEqual: (a: Selected, b: Selected) => boolean,
): Selected {
  const drawn = useRef<{ value: Selected } | undefined>(undefined)
  const getSelection = useMemo(() => {
    let last: { state: State; value: Selected } | undefined
    return () => {
      const state = getState()
      if (last !== undefined && last.state === state) return last.value
      const value = select(state)
      const before = last ?? drawn.current
      last = { state, value: before !== undefined && isEqual(before.value, value) ? before.value : value }
      return last.value
    }
  }, [getState, select, isEqual])
  // On a server nothing is watched, and the state is the first one.
  const value = useSyncExternalStore(subscribe, getSelection, getSelection)
  useEffect(() => {
    drawn.current = { value }
  }, [value])
  useDebugValue(value)
  return value
}
