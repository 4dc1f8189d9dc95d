import type { ReliveError, Replay, ReplayOptions, ReplayState } from '@relive/types'

import { client } from '../app/client'
import type { Pace, ReplayView, SessionState } from '../session/state'
import type { FrameStore } from '../store/frame-store'

export const speeds = [0.5, 1, 4, 20, 100] as const
/** The length to which idle gaps are shortened if they are skipped. */
const skipIdleMs = 500
/** States per second at most, as live: a run of hours at a hundred times its pace has more. */
const minIntervalMs = 33

export type Target = { readonly revision: number } | { readonly at: number }

/**
 * Moves the page through a stored run. Meanwhile the page shows the replay's states instead of the live ones,
 * which still arrive.
 */
export class Player {
  readonly #store: FrameStore<SessionState>
  readonly #failed: (error: ReliveError) => void
  #replay: Replay | undefined
  /** The next target while a seek is unanswered: a scrubber produces seeks faster than they are answered. */
  #nextSeek: Target | undefined

  /** `failed` is called with the reason when a replay was refused. */
  constructor(store: FrameStore<SessionState>, failed: (error: ReliveError) => void) {
    this.#store = store
    this.#failed = failed
  }

  close(): void {
    this.#replay?.close()
    this.#replay = undefined
    this.#nextSeek = undefined
  }

  goLive(): void {
    this.close()
    this.#store.update({ replay: undefined })
    this.#store.flush()
  }

  /** Continues from the moment shown; live, and at the end, from the beginning. */
  play(): void {
    if (this.#replay === undefined) this.#open({ paused: false })
    else this.#replay.play()
  }

  pause(): void {
    this.#replay?.pause()
  }

  togglePlay(): void {
    if (this.#view()?.state?.playing) this.pause()
    else this.play()
  }

  step(by: 1 | -1): void {
    if (this.#replay !== undefined) this.#replay.step(by)
    else if (by === -1) this.seek({ revision: Math.max(1, this.#lastRevision() - 1) })
  }

  seek(target: Target): void {
    if (this.#replay === undefined) {
      this.#open({ at: 'at' in target ? timestamp(target.at) : target.revision, paused: true })
    } else {
      if (this.#view()?.state?.playing) this.#replay.pause()
      if (this.#view()?.isSeeking) this.#nextSeek = target
      else this.#send(target)
    }
    this.#change({ target: 'at' in target ? target.at : undefined, isSeeking: true })
    this.#store.flush()
  }

  toStart(): void {
    this.seek({ revision: 1 })
  }

  /** Goes to the newest state: live, or the end of a run that has ended. */
  toEnd(): void {
    this.goLive()
  }

  setSpeed(speed: number): void {
    this.#setPace({ speed })
    this.#replay?.setSpeed(speed)
  }

  /** The server accepts it only when a replay begins, so a running one is opened again at its position. */
  setSkipIdle(skipIdle: boolean): void {
    this.#setPace({ skipIdle })
    const state = this.#view()?.state
    if (state !== undefined) this.#open({ at: state.revision, paused: !state.playing })
  }

  /** Opens a replay of the whole run, so that it can seek to every moment. */
  #open({ at, paused }: { at?: number | string; paused: boolean }): void {
    // The shown state stays until the replay's first state has arrived.
    const session = this.#view()?.session ?? this.#store.latest.live
    this.close()
    const { speed, skipIdle } = this.#store.latest.pace
    // Seeks wait until the replay has reported its position.
    this.#store.update({
      replay: { session, state: undefined, receivedAt: 0, target: undefined, isSeeking: true, isConnected: false },
    })
    const options: ReplayOptions = {
      mode: 'delta',
      minIntervalMs,
      speed,
      paused,
      ...(at !== undefined && { at }),
      ...(skipIdle && { skipIdleMs }),
    }
    this.#replay = client.replay(this.#store.latest.id, options, {
      onSession: (shown) => this.#change({ session: shown }),
      onState: (state) => this.#received(state),
      onConnectionChange: ({ state }) => this.#change({ isConnected: state === 'open' }),
      onRefused: (error) => {
        this.#change({ target: undefined, isSeeking: false })
        this.#failed(error)
      },
      onError: (error) => {
        this.goLive()
        this.#failed(error)
      },
    })
  }

  #received(state: ReplayState): void {
    // The replay has reached the live edge, which looks the same.
    if (state.live && state.playing) {
      this.goLive()
      return
    }
    const next = this.#nextSeek
    this.#nextSeek = undefined
    if (next !== undefined) this.#send(next)
    this.#change({
      state,
      receivedAt: performance.now(),
      ...(next === undefined && { target: undefined, isSeeking: false }),
    })
  }

  #send(target: Target): void {
    const isSent = this.#replay?.seek('at' in target ? { at: timestamp(target.at) } : target)
    // The client is reconnecting; the replay reports its position after that.
    if (!isSent) this.#nextSeek = target
  }

  #view(): ReplayView | undefined {
    return this.#store.latest.replay
  }

  #change(change: Partial<ReplayView>): void {
    this.#store.update((state) =>
      state.replay === undefined ? state : { ...state, replay: { ...state.replay, ...change } },
    )
  }

  #setPace(change: Partial<Pace>): void {
    this.#store.update((state) => ({ ...state, pace: { ...state.pace, ...change } }))
    this.#store.flush()
  }

  #lastRevision(): number {
    return this.#store.latest.live?.revision ?? 1
  }
}

function timestamp(at: number): string {
  return new Date(at).toISOString()
}
