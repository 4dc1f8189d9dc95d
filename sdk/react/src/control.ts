import type { ReliveError } from '@relive/types'
import { asReliveError, controlOf, type SessionControl } from '@relive/types/stores'
import { useCallback, useMemo, useRef, useState } from 'react'
import { useReliveClient } from './provider.js'

export interface Control extends SessionControl {
  /** Something has been asked for and is not answered yet. */
  readonly isPending: boolean
  /** Why what was asked for last was not done; `undefined` once something was. */
  readonly error: ReliveError | undefined
}

interface Asked {
  readonly pending: number
  readonly error: ReliveError | undefined
}

/**
 * Steers a session: `start`, `pause`, `resume`, `complete`, `stop`, `cancel`, `signal`, `review`, `command`. The
 * functions stay the same ones. Each resolves once the change is durable, and rejects with a `ReliveError`, which is
 * in `error` too.
 */
export function useControl(sessionId: string): Control {
  const client = useReliveClient()
  const [asked, setAsked] = useState<Asked>({ pending: 0, error: undefined })
  const turn = useRef(0)
  const follow = useCallback(<Answer>(promise: Promise<Answer>): Promise<Answer> => {
    turn.current += 1
    const mine = turn.current
    setAsked(({ pending, error }) => ({ pending: pending + 1, error }))
    const done = (cause?: unknown) =>
      setAsked(({ pending, error }) => ({
        pending: pending - 1,
        error: mine !== turn.current ? error : cause === undefined ? undefined : asReliveError(cause),
      }))
    promise.then(() => done(), done)
    return promise
  }, [])
  const control = useMemo(() => {
    const plain = controlOf(client, sessionId)
    const followed = Object.entries(plain).map(([name, act]) => [
      name,
      (...given: unknown[]) => follow((act as (...given: unknown[]) => Promise<unknown>)(...given)),
    ])
    return Object.fromEntries(followed) as SessionControl
  }, [client, sessionId, follow])
  return { ...control, isPending: asked.pending > 0, error: asked.error }
}
