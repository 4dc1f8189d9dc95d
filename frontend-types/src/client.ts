import type { BackoffOptions } from './backoff.js'
import { type Clock, systemClock } from './clock.js'
import { Connection, type ConnectionSettings, type ConnectionState, type HeartbeatOptions } from './connection.js'
import { Credentials, type TokenSource } from './credentials.js'
import { notify, ReliveError } from './errors.js'
import type { ClientFrame, Command, CommandReceipt, ServerFrame } from './generated/protocol.js'
import { type CommandOptions, PendingCommands } from './pending-commands.js'
import { refusalAt } from './refusal.js'
import { type Replay, type ReplayHandlers, type ReplayOptions, replayPath, SessionReplay } from './replay.js'
import {
  type SessionFilters,
  SessionList,
  type SessionListHandlers,
  type SessionListWatch,
  sessionListPath,
} from './session-list.js'
import { type SessionHandlers, SessionSubscription, type SubscribeOptions, type Subscription } from './subscription.js'
import { httpUrl, type SocketConstructor, socketConstructor, socketUrl } from './web-socket.js'

export interface ReliveClientOptions {
  /** The server's base address, as http(s) or ws(s), with a path if it is served under one. */
  url: string
  /** Needed where the platform has none, such as Node 20: the class of the package `ws` will do. */
  WebSocket?: SocketConstructor
  /** Needed where the server asks for a key or an access token. It never becomes part of an address. */
  getToken?: TokenSource
  backoff?: BackoffOptions
  heartbeat?: HeartbeatOptions
  /** Commands that may wait for an answer at the same time; one more is refused. Default 256. */
  maxPendingCommands?: number
  clock?: Clock
}

export type ConnectionListener = (state: ConnectionState) => void
export type TokenChunk = Omit<Extract<ClientFrame, { type: 'token' }>, 'type'>

// Whoever compares by identity sees a change only where there is one.
const idleState: ConnectionState = Object.freeze({ state: 'idle' })
const closedState: ConnectionState = Object.freeze({ state: 'closed' })

/**
 * Watches and steers sessions over one socket, which is opened when first needed and made again
 * whenever it is lost.
 */
export class ReliveClient {
  readonly #url: string
  readonly #settings: Omit<ConnectionSettings, 'url' | 'WebSocket'>
  readonly #givenWebSocket: SocketConstructor | undefined
  readonly #subscriptions = new Map<string, SessionSubscription>()
  /**
   * How many `subscribe` frames of this socket have no answer yet, by session. Until there are
   * none, whatever comes for the session belongs to an earlier subscription.
   */
  readonly #unanswered = new Map<string, number>()
  readonly #pending: PendingCommands
  readonly #lists = new Set<SessionList>()
  readonly #replays = new Set<SessionReplay>()
  readonly #listeners = new Set<ConnectionListener>()
  #connection: Connection | undefined
  #isClosed = false

  constructor(options: ReliveClientOptions) {
    this.#url = options.url
    this.#givenWebSocket = options.WebSocket
    this.#pending = new PendingCommands(options.maxPendingCommands ?? 256)
    this.#settings = {
      credentials: options.getToken === undefined ? undefined : new Credentials(options.getToken),
      backoff: options.backoff,
      heartbeat: options.heartbeat,
      clock: options.clock ?? systemClock,
      // Answered without a credential, and by the same rules about pages as a handshake.
      refusal: () => refusalAt(httpUrl(options.url, '/healthz')),
    }
  }

  get connection(): ConnectionState {
    return this.#connection?.state ?? (this.#isClosed ? closedState : idleState)
  }

  /** When the last frame came, in milliseconds since 1970. */
  get lastFrameAt(): number | undefined {
    return this.#connection?.lastFrameAt
  }

  /** Calls `listener` at every change of `connection`, until the returned function is called. */
  onConnectionChange(listener: ConnectionListener): () => void {
    this.#listeners.add(listener)
    return () => this.#listeners.delete(listener)
  }

  /**
   * Watches a session until it ends, `unsubscribe` is called or the subscription fails.
   *
   * A client holds one subscription to a session, as the protocol has one per socket: share it, or
   * throws `Error`.
   */
  subscribe(sessionId: string, options: SubscribeOptions = {}, handlers: SessionHandlers = {}): Subscription {
    const connection = this.#connect()
    if (this.#subscriptions.has(sessionId)) throw new Error(`this client watches session ${sessionId} already`)
    const subscription = new SessionSubscription(sessionId, options, handlers, {
      clock: this.#settings.clock,
      backoff: this.#settings.backoff,
      send: (frame) => this.#send(frame),
      restart: () => connection.restart(),
      forget: (forgotten) => {
        if (this.#subscriptions.get(sessionId) === forgotten) this.#subscriptions.delete(sessionId)
      },
    })
    this.#subscriptions.set(sessionId, subscription)
    if (connection.isOpen) subscription.resume()
    return subscription
  }

  /**
   * Sends a command, or several that are carried out all or not at all.
   *
   * Resolves once the events are durable. Rejects with a `ReliveError`: the server's refusal;
   * `unavailable` when too many commands wait already or the client is closed; or what ended the
   * connection. While the connection is being made again the command waits, and is sent again.
   */
  async command(
    sessionId: string,
    command: Command | readonly Command[],
    options: CommandOptions = {},
  ): Promise<CommandReceipt> {
    if (this.#isClosed) throw new ReliveError('unavailable', 'the client is closed')
    this.#connect()
    return this.#pending.add(sessionId, command, options, (frame) => this.#send(frame))
  }

  /** Shows viewers a piece of a message still being written. Lost, and false, while there is no connection. */
  sendToken(chunk: TokenChunk): boolean {
    return !this.#isClosed && this.#connect().isOpen && this.#send({ type: 'token', ...chunk })
  }

  /** The live list of the sessions that match, on a socket of its own. */
  watchSessions(filters: SessionFilters, handlers: SessionListHandlers = {}): SessionListWatch {
    if (this.#isClosed) throw new Error('the client is closed')
    const pages = { baseUrl: this.#url, filters, fetch: (url: string) => this.#fetch(url) }
    const list = new SessionList(this.#connectionSettings(sessionListPath(filters)), pages, handlers, (closed) => {
      this.#lists.delete(closed)
    })
    this.#lists.add(list)
    return list
  }

  /** Plays a stored session, or one that is still running from its beginning, on a socket of its own. */
  replay(sessionId: string, options: ReplayOptions = {}, handlers: ReplayHandlers = {}): Replay {
    if (this.#isClosed) throw new Error('the client is closed')
    const settings = this.#connectionSettings(replayPath(sessionId, options))
    const replay = new SessionReplay(sessionId, options, settings, handlers, (closed) => {
      this.#replays.delete(closed)
    })
    this.#replays.add(replay)
    return replay
  }

  /**
   * As the platform's `fetch`, for a `path` of the server such as `/api/v1/sessions`, with the token. If the answer
   * is 401, it is asked for once more with a new one.
   */
  fetch(path: string, init?: RequestInit): Promise<Response> {
    return this.#fetch(httpUrl(this.#url, path), init)
  }

  /** Ends everything this client does: sockets, timers, waiting commands. It cannot be used again. */
  close(): void {
    if (this.#isClosed) return
    this.#isClosed = true
    for (const subscription of [...this.#subscriptions.values()]) subscription.unsubscribe()
    for (const list of [...this.#lists]) list.close()
    for (const replay of [...this.#replays]) replay.close()
    this.#pending.fail(new ReliveError('unavailable', 'the client was closed before the command was answered'))
    this.#connection?.close()
  }

  #fetch(url: string, init?: RequestInit): Promise<Response> {
    const { credentials } = this.#settings
    return credentials === undefined ? fetch(url, init) : credentials.fetch(url, init)
  }

  #connectionSettings(path: string): ConnectionSettings {
    return { ...this.#settings, url: socketUrl(this.#url, path), WebSocket: socketConstructor(this.#givenWebSocket) }
  }

  #connect(): Connection {
    if (this.#isClosed) throw new Error('the client is closed')
    this.#connection ??= new Connection(this.#connectionSettings('/ws'), {
      opened: () => this.#opened(),
      received: (frame) => this.#received(frame),
      ended: (error) => this.#ended(error),
      stateChanged: (state) => {
        for (const listener of [...this.#listeners]) notify(() => listener(state))
      },
    })
    this.#connection.connect()
    return this.#connection
  }

  /** Unsent, a frame is not lost: subscriptions and commands go out again when a socket opens. */
  #send(frame: ClientFrame): boolean {
    if (this.#connection?.isOpen !== true) return false
    if (frame.type === 'subscribe') {
      this.#unanswered.set(frame.sessionId, (this.#unanswered.get(frame.sessionId) ?? 0) + 1)
    }
    this.#connection.send(frame)
    return true
  }

  #opened(): void {
    this.#unanswered.clear()
    for (const subscription of this.#subscriptions.values()) subscription.resume()
    this.#pending.resend((frame) => this.#send(frame))
  }

  #received(frame: ServerFrame): void {
    if (this.#pending.answered(frame)) return
    // The answer to a command that was given up, or answered before the connection was lost.
    if (frame.type === 'ack' || (frame.type === 'error' && frame.id !== undefined)) return
    if (!('sessionId' in frame) || frame.sessionId === undefined) return
    const { sessionId } = frame
    let unanswered = this.#unanswered.get(sessionId) ?? 0
    if (unanswered > 0 && (frame.type === 'subscribed' || frame.type === 'error')) {
      unanswered -= 1
      this.#unanswered.set(sessionId, unanswered)
    }
    if (unanswered === 0) this.#subscriptions.get(sessionId)?.received(frame)
  }

  #ended(error: ReliveError): void {
    this.#pending.fail(error)
    for (const subscription of [...this.#subscriptions.values()]) subscription.fail(error)
  }
}
