import type { ConnectionState, ReliveError, Replay, ReplayOptions, ReplayState, WorkflowSession } from '@relive/types'
import { noReplay, ReplayStore } from '@relive/types/stores'
import { useCallback, useEffect, useMemo, useState } from 'react'
import { useReliveClient } from './provider.js'
import { isAlike, useSelected } from './selected.js'

export interface ReplayResult extends Pick<Replay, 'play' | 'pause' | 'seek' | 'step' | 'setSpeed'> {
  /** The state of the moment; `undefined` before the first. */
  readonly session: WorkflowSession | undefined
  /** Where the replay stands: `at`, `startAt`, `endAt`, `playing`, `speed`. */
  readonly state: ReplayState | undefined
  /** It has played to the end. */
  readonly hasEnded: boolean
  readonly connection: ConnectionState
  /** What the server did not do that was asked last; the replay goes on. */
  readonly refusal: ReliveError | undefined
  /** Why the replay is over. */
  readonly error: ReliveError | undefined
}

/**
 * A session played again, on a socket of its own, from when the component is there until it goes. Other options begin
 * another replay.
 */
export function useReplay(sessionId: string | undefined, options: ReplayOptions = {}): ReplayResult {
  const client = useReliveClient()
  const key = JSON.stringify(Object.entries(options).sort(([a], [b]) => (a < b ? -1 : 1)))
  const [store, setStore] = useState<ReplayStore>()
  // biome-ignore lint/correctness/useExhaustiveDependencies: options count by what they say, not by identity.
  useEffect(() => {
    if (sessionId === undefined) return
    const made = new ReplayStore(client, sessionId, options)
    setStore(made)
    return () => {
      made.close()
      setStore(undefined)
    }
  }, [client, sessionId, key])
  const subscribe = useCallback((listener: () => void) => store?.subscribe(listener) ?? (() => {}), [store])
  const getState = useCallback(() => store?.getState() ?? noReplay, [store])
  const view = useSelected(subscribe, getState, same, isAlike)
  const controls = useMemo(
    () => ({
      play: () => store?.replay?.play() ?? false,
      pause: () => store?.replay?.pause() ?? false,
      seek: (to: Parameters<Replay['seek']>[0]) => store?.replay?.seek(to) ?? false,
      step: (by?: 1 | -1) => store?.replay?.step(by) ?? false,
      setSpeed: (speed: Parameters<Replay['setSpeed']>[0]) => store?.replay?.setSpeed(speed) ?? false,
    }),
    [store],
  )
  return { ...view, ...controls }
}

function same<State>(state: State): State {
  return state
}
