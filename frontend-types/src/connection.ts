import { Backoff, type BackoffOptions } from './backoff.js'
import type { Clock } from './clock.js'
import { closeError, shouldReconnect } from './close-codes.js'
import { type Credentials, protocolsOf, Renewal } from './credentials.js'
import { ReliveError } from './errors.js'
import type { ClientFrame, ServerFrame } from './generated/protocol.js'
import type { Socket, SocketConstructor } from './web-socket.js'

export interface ConnectionState {
  /**
   * - `idle`: nothing has been asked for yet;
   * - `connecting`: a socket is being opened;
   * - `open`: frames can flow;
   * - `waiting`: the connection was lost, and is tried again at `retryAt`;
   * - `closed`: by the application, or for good, with the `error` that says why.
   */
  readonly state: 'idle' | 'connecting' | 'open' | 'waiting' | 'closed'
  /** Milliseconds since 1970. */
  readonly retryAt?: number
  /** Why it is closed, or why it has to wait, where that is known. */
  readonly error?: ReliveError
}

export interface HeartbeatOptions {
  /** A connection on which nothing came for this long is asked whether it is alive. Default 60 000. */
  idleMs?: number
  /** How long it has to answer; also how long getting a token and opening a socket may take. Default 10 000. */
  answerMs?: number
}

export interface ConnectionSettings {
  url: string
  WebSocket: SocketConstructor
  credentials: Credentials | undefined
  backoff: BackoffOptions | undefined
  heartbeat: HeartbeatOptions | undefined
  clock: Clock
  /** Asks why the server refuses sockets; asked while none has been open yet. */
  refusal: () => Promise<ReliveError | undefined>
}

/** Who uses a connection. `opened` comes anew with every socket, `ended` once, for good. */
export interface ConnectionUser {
  opened(): void
  received(frame: ServerFrame): void
  ended(error: ReliveError): void
  stateChanged(state: ConnectionState): void
}

/** Comes back with another token. */
const tokenExpired = 4401

const openState: ConnectionState = Object.freeze({ state: 'open' })

/** One socket at a time to one address, replaced whenever it is lost. */
export class Connection {
  readonly #settings: ConnectionSettings
  readonly #user: ConnectionUser
  readonly #backoff: Backoff
  readonly #idleMs: number
  readonly #answerMs: number
  #state: ConnectionState = Object.freeze({ state: 'idle' })
  /** The socket in use; events of any other one are stale and are passed over. */
  #socket: Socket | undefined
  /** The attempt to open one; what a past one brings is stale. */
  #attempt: object | undefined
  #renewal: Renewal | undefined
  /** Why the server is about to close the connection, in its words. */
  #refusal: string | undefined
  /** The next attempt, the time limit of an opening, or the heartbeat: never two of them at once. */
  #timer: unknown
  #openedAt = 0
  /** What the server refuses for good it refuses at first; later failures are those of a network. */
  #wasOpen = false
  #lastFrameAt: number | undefined

  constructor(settings: ConnectionSettings, user: ConnectionUser) {
    this.#settings = settings
    this.#user = user
    this.#backoff = new Backoff(settings.backoff)
    this.#idleMs = settings.heartbeat?.idleMs ?? 60_000
    this.#answerMs = settings.heartbeat?.answerMs ?? 10_000
  }

  get state(): ConnectionState {
    return this.#state
  }

  get isOpen(): boolean {
    return this.#state.state === 'open'
  }

  get lastFrameAt(): number | undefined {
    return this.#lastFrameAt
  }

  /** Connects, unless it is connected or about to be. */
  connect(): void {
    if (this.#state.state !== 'idle' && this.#state.state !== 'closed') return
    this.#backoff.reset()
    this.#open()
  }

  /** Only while `isOpen`. */
  send(frame: ClientFrame): void {
    this.#socket?.send(JSON.stringify(frame))
  }

  /** Gives the socket up and comes back after a wait. */
  restart(): void {
    if (this.#socket !== undefined) this.#lost()
  }

  close(): void {
    this.#dropSocket()
    this.#setState({ state: 'closed' })
  }

  #open(): void {
    const { credentials } = this.#settings
    this.#setTimer(this.#answerMs, () => this.#lost())
    if (credentials === undefined) this.#openSocket(undefined)
    else void this.#openWith(credentials)
    this.#setState({ state: 'connecting' })
  }

  async #openWith(credentials: Credentials): Promise<void> {
    const attempt = {}
    this.#attempt = attempt
    try {
      const token = await credentials.ask()
      if (this.#attempt === attempt) this.#openSocket(token)
    } catch (error) {
      if (this.#attempt !== attempt) return
      const reason = error instanceof ReliveError ? error : new ReliveError('bad_request', String(error))
      if (reason.retryable) this.#lost(reason)
      else this.#end(reason)
    }
  }

  #openSocket(token: string | undefined): void {
    const { WebSocket, url, credentials, clock } = this.#settings
    const socket = token === undefined ? new WebSocket(url) : new WebSocket(url, protocolsOf(token))
    this.#socket = socket
    if (credentials !== undefined && token !== undefined)
      this.#renewal = new Renewal(credentials, token, clock, (next) => this.send({ type: 'auth', token: next }))
    const ifCurrent = (run: () => void) => {
      if (this.#socket === socket) run()
    }
    socket.addEventListener('open', () => ifCurrent(() => this.#opened()))
    socket.addEventListener('message', (event) => ifCurrent(() => this.#received(event.data)))
    socket.addEventListener('close', (event) => ifCurrent(() => this.#closed(event.code ?? 1006, event.reason ?? '')))
    // A `close` event follows; without a listener, Node would take the error for an uncaught one.
    socket.addEventListener('error', () => {})
  }

  #opened(): void {
    this.#openedAt = this.#settings.clock.now()
    this.#wasOpen = true
    this.#watchForSilence(this.#openedAt)
    // First what was asked for before, then whoever asks for more on hearing that it is open.
    this.#state = openState
    this.#user.opened()
    this.#user.stateChanged(openState)
  }

  #received(data: unknown): void {
    this.#lastFrameAt = this.#settings.clock.now()
    const frame = parseFrame(data)
    // Not this protocol, or a broken proxy: what was meant is lost, so begin again.
    if (frame === undefined) this.#lost()
    else if (!this.#isAboutAccess(frame)) this.#user.received(frame)
  }

  /** Frames about the token, and why the connection is refused: the close code that follows says what to do. */
  #isAboutAccess(frame: ServerFrame): boolean {
    switch (frame.type) {
      case 'expiring':
        this.#renewal?.expiring()
        return true
      case 'authenticated':
        this.#renewal?.answered(true)
        return true
      case 'error':
        if (frame.id !== undefined || frame.sessionId !== undefined) return false
        if (this.#renewal?.answered(false)) return true
        if (frame.code !== 'unauthorized' && frame.code !== 'forbidden') return false
        this.#refusal = frame.message
        return true
      default:
        return false
    }
  }

  #closed(code: number, reason: string): void {
    const error = closeError(code, this.#refusal ?? reason)
    const isExpired = code === tokenExpired
    const { credentials } = this.#settings
    // The same token again would be as old.
    if (isExpired && credentials !== undefined && !credentials.isRenewable) this.#end(error)
    else if (shouldReconnect(code)) {
      this.#lost(isExpired ? error : undefined)
      if (!this.#wasOpen) void this.#explain()
    } else this.#end(error)
  }

  /** Ends the connection if the server has refused it, and not only the network failed. */
  async #explain(): Promise<void> {
    const error = await this.#settings.refusal()
    const { state } = this.#state
    if (error !== undefined && !this.#wasOpen && (state === 'waiting' || state === 'connecting')) this.#end(error)
  }

  #end(error: ReliveError): void {
    this.#dropSocket()
    const state: ConnectionState = Object.freeze({ state: 'closed', error })
    this.#state = state
    this.#user.ended(error)
    // Whoever was told may have asked for something new, and so have opened the connection again.
    if (this.#state === state) this.#user.stateChanged(state)
  }

  #lost(error?: ReliveError): void {
    const now = this.#settings.clock.now()
    if (this.isOpen && now - this.#openedAt >= this.#backoff.stableMs) this.#backoff.reset()
    this.#dropSocket()
    const wait = this.#backoff.next()
    this.#setTimer(wait, () => this.#open())
    this.#setState({ state: 'waiting', retryAt: now + wait, ...(error && { error }) })
  }

  /** Looks again when the silence would have lasted long enough, so that frames set no timers. */
  #watchForSilence(heardAt: number): void {
    const { clock } = this.#settings
    this.#setTimer(Math.max(0, heardAt + this.#idleMs - clock.now()), () => {
      const heard = Math.max(this.#lastFrameAt ?? 0, this.#openedAt)
      if (clock.now() - heard < this.#idleMs) {
        this.#watchForSilence(heard)
        return
      }
      this.send({ type: 'ping' })
      const before = this.#lastFrameAt
      this.#setTimer(this.#answerMs, () => {
        if (this.#lastFrameAt === before) this.#lost()
        else this.#watchForSilence(this.#lastFrameAt ?? this.#openedAt)
      })
    })
  }

  #dropSocket(): void {
    this.#settings.clock.clearTimeout(this.#timer)
    this.#renewal?.end()
    this.#renewal = undefined
    this.#attempt = undefined
    this.#refusal = undefined
    const socket = this.#socket
    this.#socket = undefined
    try {
      socket?.close()
    } catch {
      // Some sockets refuse to be closed while they open; nobody listens to this one any more.
    }
  }

  #setTimer(milliseconds: number, run: () => void): void {
    this.#settings.clock.clearTimeout(this.#timer)
    this.#timer = this.#settings.clock.setTimeout(run, milliseconds)
  }

  #setState(state: ConnectionState): void {
    this.#state = Object.freeze(state)
    this.#user.stateChanged(this.#state)
  }
}

/** The frame that a message holds, or `undefined` when it cannot be one. */
function parseFrame(data: unknown): ServerFrame | undefined {
  if (typeof data !== 'string') return undefined
  try {
    const value: unknown = JSON.parse(data)
    const isFrame = typeof value === 'object' && value !== null && 'type' in value && typeof value.type === 'string'
    return isFrame ? (value as ServerFrame) : undefined
  } catch {
    return undefined
  }
}
