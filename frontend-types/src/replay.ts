import { Connection, type ConnectionSettings, type ConnectionState } from './connection.js'
import { notify, ReliveError } from './errors.js'
import type { ClientFrame, ReplaySpeed, ReplayState, ServerFrame } from './generated/protocol.js'
import type { Message, WorkflowSession } from './generated/session.js'
import { mergePatch, share } from './merge-patch.js'
import type { EndFrame } from './subscription.js'

export interface ReplayOptions {
  /** The revision to begin at. Default: the first. */
  from?: number
  /** The revision to end at. Default: the last, and then live where the session still runs. */
  to?: number
  /** Times the recorded pace, 0.1 to 1000, or `max`. Default 1. */
  speed?: ReplaySpeed
  /** Silences longer than this are shortened to it, in milliseconds. */
  skipIdleMs?: number
  /** Whether to wait for `play`. */
  paused?: boolean
  /** Whether to send messages as well. Those that a seek jumps over are not sent. */
  messages?: boolean
}

export interface ReplayHandlers {
  /** Each state shown, forward or back. Frozen; what has not changed is the same object as before. */
  onSession?(session: WorkflowSession): void
  /** Where the replay stands: after every control, and while it plays. */
  onState?(state: ReplayState): void
  onMessage?(message: Message): void
  /** The end is reached. The replay stays: it can be sent elsewhere. */
  onEnd?(end: EndFrame): void
  onConnectionChange?(state: ConnectionState): void
  /** The replay is over: refused, or its connection closed for good. */
  onError?(error: ReliveError): void
}

/** A stored session, at the pace of whoever looks at it. */
export interface Replay {
  readonly session: WorkflowSession | undefined
  readonly state: ReplayState | undefined
  play(): void
  pause(): void
  /** To a revision, or to a recorded time. */
  seek(target: { revision: number } | { at: string }): void
  /** One revision on or back; pauses. */
  step(by: 1 | -1): void
  setSpeed(speed: ReplaySpeed): void
  close(): void
}

type Control = Extract<ClientFrame, { type: 'replay' }>

/** A replay on a socket of its own. After a lost connection it goes on from where it stood. */
export class SessionReplay implements Replay {
  readonly #connection: Connection
  readonly #handlers: ReplayHandlers
  readonly #closed: (replay: SessionReplay) => void
  #session: WorkflowSession | undefined
  #state: ReplayState | undefined
  /** What was asked for while there was no connection; a few at most, as newer ones replace older. */
  #waiting: Control[] = []

  constructor(
    path: (held: ReplayState | undefined) => string,
    settings: (path: string) => ConnectionSettings,
    handlers: ReplayHandlers,
    closed: (replay: SessionReplay) => void,
  ) {
    this.#handlers = handlers
    this.#closed = closed
    const replay = this
    // Read anew for every socket: a later one begins where the one before was lost.
    const changing = {
      ...settings(path(undefined)),
      get url() {
        return settings(path(replay.#state)).url
      },
    }
    this.#connection = new Connection(changing, {
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

  play(): void {
    this.#control({ type: 'replay', action: 'play' })
  }

  pause(): void {
    this.#control({ type: 'replay', action: 'pause' })
  }

  seek(target: { revision: number } | { at: string }): void {
    this.#control({ type: 'replay', action: 'seek', ...target })
  }

  step(by: 1 | -1): void {
    this.#control({ type: 'replay', action: 'step', by })
  }

  setSpeed(speed: ReplaySpeed): void {
    this.#control({ type: 'replay', action: 'speed', speed })
  }

  close(): void {
    this.#closed(this)
    this.#connection.close()
  }

  #control(frame: Control): void {
    if (this.#connection.isOpen) {
      this.#connection.send(frame)
      return
    }
    // Where to be, whether to play and how fast: of each the last word counts.
    const replaced = (other: Control) => other.action === frame.action || (isPlace(other) && isPlace(frame)) || (isPace(other) && isPace(frame))
    this.#waiting = [...this.#waiting.filter((other) => !replaced(other)), frame]
  }

  #opened(): void {
    const waiting = this.#waiting
    this.#waiting = []
    for (const frame of waiting) this.#connection.send(frame)
  }

  #received(frame: ServerFrame): void {
    switch (frame.type) {
      case 'snapshot':
        // Unlike live, a replay may go back.
        this.#show(share(this.#session, frame.session) as WorkflowSession)
        break
      case 'delta':
        if (this.#session === undefined || frame.base !== this.#session.revision) this.#connection.restart()
        else this.#show(mergePatch(this.#session, frame.patch) as WorkflowSession)
        break
      case 'replayState': {
        const { type: _, ...state } = frame
        this.#state = state
        notify(() => this.#handlers.onState?.(state))
        break
      }
      case 'message':
        notify(() => this.#handlers.onMessage?.(frame.message))
        break
      case 'end':
        notify(() => this.#handlers.onEnd?.(frame))
        break
      case 'error': {
        const error = new ReliveError(frame.code, frame.message, frame.retryable)
        if (error.retryable) this.#connection.restart()
        else {
          this.close()
          this.#fail(error)
        }
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

function isPlace({ action }: Control): boolean {
  return action === 'seek' || action === 'step'
}

function isPace({ action }: Control): boolean {
  return action === 'play' || action === 'pause'
}

/** The path of a replay that begins as `options` say or, once something is held, goes on from there. */
export function replayPath(sessionId: string, options: ReplayOptions, held: ReplayState | undefined): string {
  const { from, to, speed, skipIdleMs, paused, messages } = options
  const given: Record<string, unknown> = {
    mode: 'delta',
    from: held?.revision ?? from,
    to,
    speed: held?.speed ?? speed,
    skipIdleMs,
    paused: held === undefined ? paused : !held.playing,
    messages,
  }
  const query = new URLSearchParams()
  for (const [name, value] of Object.entries(given)) if (value !== undefined) query.set(name, String(value))
  return `/ws/sessions/${encodeURIComponent(sessionId)}/replay?${query.toString()}`
}
