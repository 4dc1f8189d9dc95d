import { Backoff, type BackoffOptions } from './backoff.js'
import type { Clock } from './clock.js'
import { notify, ReliveError } from './errors.js'
import type { ClientFrame, Mode, Recorded, ServerFrame } from './generated/protocol.js'
import type { Message, WorkflowSession } from './generated/session.js'
import { mergePatch, share } from './merge-patch.js'

export type TokenFrame = Extract<ServerFrame, { type: 'token' }>
export type EndFrame = Extract<ServerFrame, { type: 'end' }>

export interface SubscribeOptions {
  /** `snapshot` by default. `delta` shows the same and spares bandwidth; `events` hands over each event. */
  mode?: Mode
  /**
   * `snapshot` and `delta`: the state already held, such as one fetched over HTTP. Only what is
   * newer is sent and shown.
   */
  session?: WorkflowSession
  /** `events`: begin after this revision. Default 0, the beginning. Elsewhere `session` says it. */
  after?: number
  /** Whether to send messages as well. */
  messages?: boolean
  /** The least time between two states, in milliseconds. */
  minIntervalMs?: number
}

export interface SessionHandlers {
  /**
   * The server has begun to send, at first and after each reconnection. Messages and log lines of before are not
   * sent, but can be read over HTTP from now on without a gap.
   */
  onSubscribed?(): void
  /** `snapshot` and `delta`: each newer state. Frozen; what has not changed is the same object as before. */
  onSession?(session: WorkflowSession): void
  /** `events`: each event once, in order, none missing. */
  onEvent?(recorded: Recorded): void
  onMessage?(message: Message): void
  /** A piece of a message still being written. It may get lost; the whole message comes as a message. */
  onToken?(token: TokenFrame): void
  /** The session has ended; nothing follows. */
  onEnd?(end: EndFrame): void
  /** The subscription is over: refused, or its connection closed for good. */
  onError?(error: ReliveError): void
}

export interface Subscription {
  readonly sessionId: string
  /** The newest state; `undefined` before the first one, and in mode `events`. */
  readonly session: WorkflowSession | undefined
  /** The last revision held; `undefined` before the first. */
  readonly revision: number | undefined
  /** How the session ended, once it has. */
  readonly end: EndFrame | undefined
  unsubscribe(): void
}

/** What a subscription needs of the client it belongs to. */
export interface SubscriptionOwner {
  readonly clock: Clock
  readonly backoff: BackoffOptions | undefined
  /** Sends if the connection is open; otherwise what is asked for goes out when it opens. */
  send(frame: ClientFrame): void
  restart(): void
  forget(subscription: SessionSubscription): void
}

/** One session on the client's socket, through any number of reconnections. */
export class SessionSubscription implements Subscription {
  readonly sessionId: string
  readonly #owner: SubscriptionOwner
  readonly #options: SubscribeOptions
  readonly #handlers: SessionHandlers
  readonly #mode: Mode
  readonly #backoff: Backoff
  #session: WorkflowSession | undefined
  #revision: number | undefined
  #messageRevision = 0
  #end: EndFrame | undefined
  /** The revision held when a gap was last seen, to notice that asking again did not help. */
  #gapAt: number | undefined
  #retryTimer: unknown

  constructor(sessionId: string, options: SubscribeOptions, handlers: SessionHandlers, owner: SubscriptionOwner) {
    this.sessionId = sessionId
    this.#owner = owner
    this.#options = options
    this.#handlers = handlers
    this.#mode = options.mode ?? 'snapshot'
    this.#backoff = new Backoff(owner.backoff)
    if (this.#mode === 'events') {
      this.#revision = options.after ?? 0
    } else if (options.session !== undefined) {
      this.#session = share(undefined, options.session) as WorkflowSession
      this.#revision = options.session.revision
    }
  }

  get session(): WorkflowSession | undefined {
    return this.#session
  }

  get revision(): number | undefined {
    return this.#revision
  }

  get end(): EndFrame | undefined {
    return this.#end
  }

  unsubscribe(): void {
    this.#stop()
    this.#owner.send({ type: 'unsubscribe', sessionId: this.sessionId })
  }

  /** A new socket is open: go on from what is held. */
  resume(): void {
    this.#owner.clock.clearTimeout(this.#retryTimer)
    if (this.#end === undefined) this.#request(this.#revision)
  }

  /** The connection is closed for good, or the server refused. */
  fail(error: ReliveError): void {
    this.#stop()
    notify(() => this.#handlers.onError?.(error))
  }

  #request(after: number | undefined): void {
    const { messages, minIntervalMs } = this.#options
    this.#owner.send({
      type: 'subscribe',
      sessionId: this.sessionId,
      mode: this.#mode,
      ...(after !== undefined && { after }),
      ...(messages !== undefined && { messages }),
      ...(minIntervalMs !== undefined && { minIntervalMs }),
    })
  }

  received(frame: ServerFrame): void {
    if (frame.type === 'subscribed') {
      this.#backoff.reset()
      notify(() => this.#handlers.onSubscribed?.())
    } else if (frame.type === 'error') this.#refused(new ReliveError(frame.code, frame.message, frame.retryable))
    else if (this.#end === undefined) this.#follow(frame)
  }

  #follow(frame: ServerFrame): void {
    const held = this.#revision
    switch (frame.type) {
      case 'snapshot':
        if (this.#mode === 'events') break
        // Late or repeated: what is shown never goes back.
        if (held === undefined || frame.revision > held) {
          this.#show(share(this.#session, frame.session) as WorkflowSession, frame.revision)
        }
        break
      case 'delta':
        if (held !== undefined && frame.revision <= held) break
        if (this.#session === undefined || frame.base !== held) this.#gap(undefined)
        else this.#show(mergePatch(this.#session, frame.patch) as WorkflowSession, frame.revision)
        break
      case 'event': {
        if (held === undefined || frame.revision <= held) break
        if (frame.revision !== held + 1) {
          this.#gap(held)
          break
        }
        this.#revision = frame.revision
        const { sessionId, revision, at, event } = frame
        notify(() => this.#handlers.onEvent?.({ sessionId, revision, at, event }))
        break
      }
      case 'message':
        if (frame.revision <= this.#messageRevision) break
        this.#messageRevision = frame.revision
        notify(() => this.#handlers.onMessage?.(frame.message))
        break
      case 'token':
        notify(() => this.#handlers.onToken?.(frame))
        break
      case 'end':
        // The last state comes before the end; without it, the end is not yet to be told.
        if (held === undefined || held < frame.revision) {
          this.#gap(this.#mode === 'events' ? held : undefined)
          break
        }
        this.#end = frame
        notify(() => this.#handlers.onEnd?.(frame))
        break
      default:
        // A frame of a newer server; what it adds, this client does not know.
        break
    }
  }

  #show(session: WorkflowSession, revision: number): void {
    this.#session = session
    this.#revision = revision
    notify(() => this.#handlers.onSession?.(session))
  }

  /** Something is missing: ask again, and when that did not help, with the pace of a reconnection. */
  #gap(after: number | undefined): void {
    if (this.#gapAt === (this.#revision ?? 0)) {
      this.#gapAt = undefined
      this.#owner.restart()
      return
    }
    this.#gapAt = this.#revision ?? 0
    this.#owner.send({ type: 'unsubscribe', sessionId: this.sessionId })
    this.#request(after)
  }

  #refused(error: ReliveError): void {
    if (!error.retryable) {
      this.fail(error)
      return
    }
    this.#owner.clock.clearTimeout(this.#retryTimer)
    this.#retryTimer = this.#owner.clock.setTimeout(() => this.#request(this.#revision), this.#backoff.next())
  }

  #stop(): void {
    this.#owner.clock.clearTimeout(this.#retryTimer)
    this.#owner.forget(this)
  }
}
