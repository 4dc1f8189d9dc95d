import { useState } from 'react'

import { reasonOf } from '../session/steering'

interface Action {
  readonly isBusy: boolean
  readonly error: string | undefined
  /** Does something once at a time; resolves with whether it was done. */
  run(act: () => Promise<unknown>): Promise<boolean>
}

/** One thing that is done at the server, and why it was refused. */
export function useAction(): Action {
  const [isBusy, setBusy] = useState(false)
  const [error, setError] = useState<string>()
  return {
    isBusy,
    error,
    async run(act) {
      setBusy(true)
      setError(undefined)
      try {
        await act()
        return true
      } catch (cause) {
        setError(reasonOf(cause))
        return false
      } finally {
        setBusy(false)
      }
    },
  }
}
