import type { ReliveClient } from '../client.js'
import type { ConnectionState } from '../connection.js'
import type { ReliveError } from '../errors.js'
import type { ReplayState } from '../generated/protocol.js'
import type { WorkflowSession } from '../generated/session.js'
import type { Replay, ReplayHandlers, ReplayOptions } from '../replay.js'
import { atFrame, FrameStore } from './frame-store.js'
import { asReliveError } from './requests.js'

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
  /** `undefined` if it could not begin. */
  readonly replay: Replay | undefined
  readonly #store = new FrameStore<ReplayView>(noReplay, atFrame)

  constructor(client: ReliveClient, sessionId: string, options: ReplayOptions) {
    const handlers: ReplayHandlers = {
      onSession: (session) => this.#store.update({ session }),
      onState: (state) => {
        const isAtEnd = !state.playing && state.revision === state.lastRevision
        this.#store.update((view) => ({ ...view, state, hasEnded: view.hasEnded && isAtEnd }))
      },
      onEnd: () => this.#store.update({ hasEnded: true }),
      onRefused: (refusal) => this.#store.update({ refusal }),
      onConnectionChange: (connection) => this.#store.update({ connection }),
      onError: (error) => this.#store.update({ error }),
    }
    try {
      this.replay = client.replay(sessionId, { mode: 'delta', ...options }, handlers)
    } catch (error) {
      this.#store.update({ error: asReliveError(error) })
    }
  }

  readonly getState = (): ReplayView => this.#store.shown()

  readonly subscribe = (listener: () => void): (() => void) => this.#store.subscribe(listener)

  close(): void {
    this.replay?.close()
  }
}
