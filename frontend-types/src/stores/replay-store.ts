import type { ReliveClient } from '../client.js'
import type { ConnectionState } from '../connection.js'
import type { ReliveError } from '../errors.js'
import type { ReplayState } from '../generated/protocol.js'
import type { WorkflowSession } from '../generated/session.js'
import type { Replay, ReplayOptions } from '../replay.js'
import { atFrame, FrameStore } from './frame-store.js'

/** What a replay shows. Never changed in place. */
export interface ReplayView {
  /** The state of the moment. */
  readonly session: WorkflowSession | undefined
  /** Where the replay stands; `undefined` before it has begun. */
  readonly state: ReplayState | undefined
  /** It has played to the end. */
  readonly hasEnded: boolean
  readonly connection: ConnectionState
  /** What the server did not do that was asked; the replay goes on. */
  readonly refusal: ReliveError | undefined
  /** Why the replay is over. */
  readonly error: ReliveError | undefined
}

export const noReplay: ReplayView = {
  session: undefined,
  state: undefined,
  hasEnded: false,
  connection: { state: 'idle' },
  refusal: undefined,
  error: undefined,
}

/** A replay as a store, at most one change a frame. It plays from when it is made until `close`. */
export class ReplayStore {
  readonly replay: Replay
  readonly #store = new FrameStore<ReplayView>(noReplay, atFrame)

  constructor(client: ReliveClient, sessionId: string, options: ReplayOptions) {
    this.replay = client.replay(
      sessionId,
      { mode: 'delta', ...options },
      {
        onSession: (session) => this.#store.update({ session }),
        onState: (state) =>
          this.#store.update((view) => ({ ...view, state, hasEnded: view.hasEnded && !state.playing })),
        onEnd: () => this.#store.update({ hasEnded: true }),
        onRefused: (refusal) => this.#store.update({ refusal }),
        onConnectionChange: (connection) => this.#store.update({ connection }),
        onError: (error) => this.#store.update({ error }),
      },
    )
  }

  readonly getState = (): ReplayView => this.#store.shown()

  readonly subscribe = (listener: () => void): (() => void) => this.#store.subscribe(listener)

  close(): void {
    this.replay.close()
  }
}
