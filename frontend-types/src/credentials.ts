import type { Clock } from './clock.js'
import { ReliveError } from './errors.js'

/**
 * A key or an access token, or a function that gives one. The function is asked for every new connection, before
 * the token in use expires, and after the server has refused it; what it gives must be valid still.
 */
export type TokenSource = string | (() => string | Promise<string>)

/** How soon after a token another one is asked for, so that tokens that last only seconds do not make a loop. */
const pauseMs = 5_000

/** The subprotocols of a socket: the only way in which a browser can send a token with it, but for the address. */
export function protocolsOf(token: string): string[] {
  return ['relive.v1', `base64url.bearer.relive.${base64url(token)}`]
}

function base64url(text: string): string {
  const bytes = Array.from(new TextEncoder().encode(text), (byte) => String.fromCharCode(byte))
  return btoa(bytes.join('')).replaceAll('+', '-').replaceAll('/', '_').replace(/=+$/, '')
}

/** The token of a client, which its sockets and requests share. */
export class Credentials {
  readonly #source: TokenSource
  #held: string | undefined
  #asking: Promise<string> | undefined

  constructor(source: TokenSource) {
    this.#source = source
  }

  /** Whether asking again can give another one. */
  get isRenewable(): boolean {
    return typeof this.#source !== 'string'
  }

  /** A new token. Who asks while one is being fetched waits for that one. Rejects with a `ReliveError`. */
  ask(): Promise<string> {
    this.#asking ??= this.#ask().finally(() => (this.#asking = undefined))
    return this.#asking
  }

  async #ask(): Promise<string> {
    const source = this.#source
    try {
      this.#held = typeof source === 'string' ? source : await source()
    } catch (cause) {
      if (cause instanceof ReliveError) throw cause
      throw new ReliveError('unauthorized', `no token to be had: ${String(cause)}`, true)
    }
    return this.#held
  }

  /** As the platform's `fetch`, with the token; an answer 401 is asked for once more, with a new token. */
  async fetch(url: string, init: RequestInit = {}): Promise<Response> {
    const token = this.#held ?? (await this.ask())
    const answer = await fetch(url, authorized(init, token))
    if (answer.status !== 401) return answer
    // Somebody else may have got a new one meanwhile; a plain text is always the same.
    const next = this.#held === token ? await this.ask() : this.#held
    // What a stream has sent cannot be sent again.
    if (next === undefined || next === token || init.body instanceof ReadableStream) return answer
    await answer.body?.cancel()
    return fetch(url, authorized(init, next))
  }
}

function authorized(init: RequestInit, token: string): RequestInit {
  const headers = new Headers(init.headers)
  headers.set('authorization', `Bearer ${token}`)
  return { ...init, headers }
}

/** Replaces the token of an open socket before it expires. */
export class Renewal {
  readonly #credentials: Credentials
  readonly #clock: Clock
  readonly #send: (token: string) => void
  #token: string
  #sentAt: number
  #timer: unknown
  #isAwaited = false
  #isEnded = false

  /** Of a socket that was opened with `token`. `send` gets each new one. */
  constructor(credentials: Credentials, token: string, clock: Clock, send: (token: string) => void) {
    this.#credentials = credentials
    this.#token = token
    this.#clock = clock
    this.#send = send
    this.#sentAt = clock.now()
  }

  /** The socket is gone. */
  end(): void {
    this.#isEnded = true
    this.#clock.clearTimeout(this.#timer)
  }

  /** The server said that the token expires. */
  expiring(): void {
    if (!this.#credentials.isRenewable || this.#isEnded) return
    const wait = this.#sentAt + pauseMs - this.#clock.now()
    this.#clock.clearTimeout(this.#timer)
    if (wait <= 0) void this.#renew()
    else this.#timer = this.#clock.setTimeout(() => void this.#renew(), wait)
  }

  /** True when an answer to the last token sent is awaited; there is only one. */
  answered(isAccepted: boolean): boolean {
    const wasAwaited = this.#isAwaited
    this.#isAwaited = false
    if (wasAwaited && !isAccepted) this.expiring()
    return wasAwaited
  }

  async #renew(): Promise<void> {
    this.#sentAt = this.#clock.now()
    const token = await this.#credentials.ask().catch(() => undefined)
    if (this.#isEnded) return
    // The same one would expire at the same time.
    if (token === undefined || token === this.#token) {
      this.expiring()
      return
    }
    this.#token = token
    this.#isAwaited = true
    this.#send(token)
  }
}
