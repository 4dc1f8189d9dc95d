import { useSyncExternalStore } from 'react'

/**
 * A value that this browser keeps, the same in all of its tabs. Some private windows refuse storage; then it lasts as
 * long as the page.
 */
export interface Kept<Value> {
  value(): Value
  set(value: Value): void
  subscribe(listener: () => void): () => void
}

/** `read` makes a value of whatever is stored, which may be of another version; of `undefined` where nothing is. */
export function kept<Value>(key: string, read: (stored: unknown) => Value): Kept<Value> {
  const listeners = new Set<() => void>()
  const stored = () => {
    try {
      return read(JSON.parse(localStorage.getItem(key) ?? 'null') ?? undefined)
    } catch {
      return read(undefined)
    }
  }
  let value = stored()
  const tell = () => {
    for (const listener of [...listeners]) listener()
  }
  if (typeof addEventListener === 'function')
    addEventListener('storage', (event) => {
      if (event.key !== key && event.key !== null) return
      value = stored()
      tell()
    })
  return {
    value: () => value,
    set(next) {
      value = next
      try {
        localStorage.setItem(key, JSON.stringify(next))
      } catch {
        // As above.
      }
      tell()
    },
    subscribe(listener) {
      listeners.add(listener)
      return () => listeners.delete(listener)
    },
  }
}

export function useKept<Value>({ subscribe, value }: Kept<Value>): Value {
  return useSyncExternalStore(subscribe, value)
}
