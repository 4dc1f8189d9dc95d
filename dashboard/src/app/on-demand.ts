import { useSyncExternalStore } from 'react'

/** Code that is loaded when it is first needed, or ahead. */
export interface OnDemand<Code> {
  load(): Promise<Code>
  /** Calls `listener` when it is there, and begins to load it. */
  subscribe(listener: () => void): () => void
  loaded(): Code | undefined
}

/** Unlike React's own `lazy`, what has been loaded is rendered at once. After a failure the next use asks again. */
export function onDemand<Code>(ask: () => Promise<Code>): OnDemand<Code> {
  let code: Code | undefined
  let asked: Promise<Code> | undefined
  const listeners = new Set<() => void>()
  const load = () => {
    asked ??= ask().then(
      (found) => {
        code = found
        for (const listener of [...listeners]) listener()
        return found
      },
      (error: unknown) => {
        asked = undefined
        throw error
      },
    )
    return asked
  }
  return {
    load,
    loaded: () => code,
    subscribe(listener) {
      listeners.add(listener)
      load().catch(() => undefined)
      return () => listeners.delete(listener)
    },
  }
}

export function useOnDemand<Code>({ subscribe, loaded }: OnDemand<Code>): Code | undefined {
  return useSyncExternalStore(subscribe, loaded)
}
