import { Connection, type ConnectionSettings, type ConnectionState } from './connection.js'
import { notify, ReliveError } from './errors.js'
import type { ClientFrame, Mode, Recorded, ReplaySpeed, ReplayState, ServerFrame } from './generated/protocol.js'
import type { Log, Message, WorkflowSession } from './generated/session.js'
import { mergePatch, share } from './merge-patch.js'
import type { EndFrame, TokenFrame } from './subscription.js'

export interface ReplayOptions {
  /** 0.1 to 1000 times the recorded pace, or `max`. Default 1. */
  speed?: ReplaySpeed
  /** Where the part to replay begins: a revision or an RFC 3339 time. Default the first revision. */
  from?: number | string
  /** Where it ends: a revision or an RFC 3339 time. Default the end of the session. */
  to?: number | string
  /** Silences longer than this are shortened to it, in milliseconds. */
  skipIdleMs?: number
  mode?: Mode
  /** Whether to send messages as well. */
  messages?: boolean
  /** Whether to send log lines as well. */
  logs?: boolean
  /** The least time between two states, in milliseconds. */
  minIntervalMs?: number
  /** Where in that part to stand at first: a revision or an RFC 3339 time. Default its beginning. */
  at?: number | string
  /** Waits where it stands at first until told to play. */
  paused?: boolean
}

export interface ReplayHandlers {
  /**
   * `snapshot` and `delta`: each state, when its time has come. Frozen; what has not changed is the
   * same object as before. `events`: after a seek or a step back, the state to fold on from.
   */
  onSession?(session: WorkflowSession): void
  onEvent?(recorded: Recorded): void
  onMessage?(message: Message): void
  onLog?(log: Log): void
  /** At the live edge: a piece of a message still being written. */
  onToken?(token: TokenFrame): void
  /** Where the replay stands: after every control, and while it plays. */
  onState?(state: ReplayState): void
  /** The end was reached. The replay stays, to seek in and to play again. */
  onEnd?(end: EndFrame): void
  /** The server did not do what was asked; the replay goes on. */
  onRefused?(error: ReliveError): void
  onConnectionChange?(state: ConnectionState): void
  /** The replay is over: its connection is closed for good. */
  onError?(error: ReliveError): void
}

/** A control that is called while there is no connection is lost, and returns false. */
export interface Replay {
  readonly sessionId: string
  /** The state shown last. */
  readonly session: WorkflowSession | undefined
  /** Where the replay stands; `undefined` before it has begun. */
  readonly state: ReplayState | undefined
  readonly connection: ConnectionState
  /** From where it stands; at the end, from the beginning. */
  play(): boolean
  pause(): boolean
  seek(to: { revision: number } | { at: string }): boolean
  /** Pauses, and goes one revision forward or back. */
  step(by?: 1 | -1): boolean
  setSpeed(speed: ReplaySpeed): boolean
  close(): void
}

/** Where a new connection takes up. */
type Standing = ({ revision: number; at?: string } | { revision?: undefined; at: string }) & {
  speed?: ReplaySpeed
  playing: boolean
}

function place(at: number | string): { revision: number } | { at: string } {
  return typeof at === 'number' ? { revision: at } : { at }
}

/** The path of a replay. It begins paused, so that a new connection does not play what was seen. */
export function replayPath(sessionId: string, options: ReplayOptions): string {
  const query = new URLSearchParams({ paused: 'true' })
  for (const [name, value] of Object.entries(options) as [string, unknown][]) {
    if (value !== undefined && name !== 'paused' && name !== 'at') query.set(name, String(value))
  }
  return `/ws/sessions/${encodeURIComponent(sessionId)}/replay?${query.toString()}`
}

/** A replay, on a socket of its own; a new connection goes on from the revision that was shown. */
export class SessionReplay implements Replay {
  readonly sessionId: string
  readonly #connection: Connection
  readonly #handlers: ReplayHandlers
  readonly #closed: (replay: SessionReplay) => void
  #session: WorkflowSession | undefined
  #state: ReplayState | undefined
  /** Whether to play as soon as the connection has said where it begins. */
  #plays: boolean
  /** A connection begins at the beginning: until it was told where to go on, nothing is shown. */
  #goesTo: Standing | undefined
  readonly #standsFirst: Standing | undefined

  constructor(
    sessionId: string,
    options: ReplayOptions,
    settings: ConnectionSettings,
    handlers: ReplayHandlers,
    closed: (replay: SessionReplay) => void,
  ) {
    this.sessionId = sessionId
    this.#handlers = handlers
    this.#closed = closed
    this.#plays = options.paused !== true
    if (options.at !== undefined) this.#standsFirst = { ...place(options.at), playing: this.#plays }
    this.#connection = new Connection(settings, {
      opened: () => this.#opened(),
      received: (frame) => this.#received(frame),
      ended: (error) => this.#fail(error),
      stateChanged: (state) => notify(() => handlers.onConnectionChange?.(state)),
    })
    this.#connection.connect()
  }

  get session(): WorkflowSession | undefined {
    return this.#session
  }

  get state(): ReplayState | undefined {
    return this.#state
  }

  get connection(): ConnectionState {
    return this.#connection.state
  }

  play(): boolean {
    return this.#send({ type: 'replay', action: 'play' })
  }

  pause(): boolean {
    return this.#send({ type: 'replay', action: 'pause' })
  }

  seek(to: { revision: number } | { at: string }): boolean {
    return this.#send({ type: 'replay', action: 'seek', ...to })
  }

  step(by: 1 | -1 = 1): boolean {
    return this.#send({ type: 'replay', action: 'step', by })
  }

  setSpeed(speed: ReplaySpeed): boolean {
    return this.#send({ type: 'replay', action: 'speed', speed })
  }

  close(): void {
    this.#closed(this)
    this.#connection.close()
  }

  #send(frame: ClientFrame): boolean {
    if (!this.#connection.isOpen || this.#goesTo !== undefined) return false
    this.#connection.send(frame)
    return true
  }

  #opened(): void {
    this.#goesTo = this.#state ?? this.#standsFirst
    if (this.#goesTo === undefined && this.#plays) this.play()
  }

  /** Goes on where the connection before was lost, or where the first one is to stand. */
  #go({ revision, at, speed, playing }: Standing): void {
    this.#goesTo = undefined
    // First of all: what the others are answered with says where it stands.
    this.seek(revision === undefined ? { at } : { revision })
    if (speed !== undefined) this.setSpeed(speed)
    if (playing) this.play()
  }

  #received(frame: ServerFrame): void {
    if (this.#goesTo !== undefined) {
      if (frame.type === 'replayState') this.#go(this.#goesTo)
      return
    }
    switch (frame.type) {
      case 'snapshot':
        this.#show(share(this.#session, frame.session) as WorkflowSession)
        break
      case 'delta':
        if (this.#session?.revision === frame.base)
          this.#show(mergePatch(this.#session, frame.patch) as WorkflowSession)
        else this.#connection.restart()
        break
      case 'event': {
        const { sessionId, revision, at, event } = frame
        notify(() => this.#handlers.onEvent?.({ sessionId, revision, at, event }))
        break
      }
      case 'message':
        notify(() => this.#handlers.onMessage?.(frame.message))
        break
      case 'log':
        notify(() => this.#handlers.onLog?.(frame.log))
        break
      case 'token':
        notify(() => this.#handlers.onToken?.(frame))
        break
      case 'replayState': {
        const { type: _, ...state } = frame
        this.#state = state
        notify(() => this.#handlers.onState?.(state))
        break
      }
      case 'end':
        notify(() => this.#handlers.onEnd?.(frame))
        break
      case 'error': {
        const error = new ReliveError(frame.code, frame.message, frame.retryable)
        notify(() => this.#handlers.onRefused?.(error))
        break
      }
      default:
        break
    }
  }

  #show(session: WorkflowSession): void {
    this.#session = session
    notify(() => this.#handlers.onSession?.(session))
  }

  #fail(error: ReliveError): void {
    this.#closed(this)
    notify(() => this.#handlers.onError?.(error))
  }
}
