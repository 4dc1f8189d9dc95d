import type { CreateSession, ErrorCode, Problem, TokenChunk } from '../generated/protocol.js'
import { httpUrl } from '../web-socket.js'
import { encode } from './encode.js'

/** How a request was answered, as far as it decides what to do next. */
export interface Answer {
  readonly isAccepted: boolean
  /** The same may succeed later: the server is away, busy or restarting. */
  readonly isRetryable: boolean
  /** Nothing of this session will be accepted: no permission, or no such session. */
  readonly isFinal: boolean
  readonly code: ErrorCode | undefined
  readonly message: string
  readonly retryAfterMs: number | undefined
}

export interface SenderOptions {
  readonly url: string
  readonly token: string | (() => string | Promise<string>) | undefined
  readonly sessionId: string
  readonly session: CreateSession
  /** Resolves when the session that is this one's parent exists, or will not. */
  readonly after: Promise<void> | undefined
}

/** How long a request may take before it counts as lost. */
const requestMs = 35_000

/** Sends to one session, which it creates and starts first. */
export class Sender {
  readonly #options: SenderOptions
  /** Called when the session exists. */
  onCreated: () => void = () => {}
  #isCreated = false

  constructor(options: SenderOptions) {
    this.#options = options
  }

  /** Sends an array of commands. Never rejects. */
  async send(commands: string, key: string): Promise<Answer> {
    if (!this.#isCreated) {
      await this.#options.after
      const created = await this.#create(this.#options.session)
      if (!created.isAccepted) return { ...created, isFinal: !created.isRetryable }
      this.#isCreated = true
      this.onCreated()
    }
    return this.#post(`${this.#path}/commands`, commands, key)
  }

  async #create(session: CreateSession): Promise<Answer> {
    // The id is this program's own, so that a repetition meets the same session.
    const created = await this.#post('/api/v1/sessions', encode(session), this.#options.sessionId)
    const { parentSessionId, parentNodeId: _, ...alone } = session
    // Its parent is not recorded, or not yet.
    return created.code === 'not_found' && parentSessionId !== undefined ? this.#create(alone) : created
  }

  /** Shows viewers pieces of messages. What is lost is not repeated: the whole messages follow. */
  async show(chunks: readonly TokenChunk[]): Promise<void> {
    if (this.#isCreated && chunks.length > 0) await this.#post(`${this.#path}/tokens`, encode(chunks))
  }

  /** Says that this program still drives the session. */
  renewLease(seconds: number): Promise<Answer> {
    return this.#post(`${this.#path}/lease`, encode({ seconds }))
  }

  /** The session as a stream of server-sent events; `undefined` if the server cannot be reached. */
  stream(query: string, signal: AbortSignal): Promise<Response | undefined> {
    return this.#request(`${this.#path}/stream?${query}`, { signal })
  }

  get #path(): string {
    return `/api/v1/sessions/${this.#options.sessionId}`
  }

  /** Whether the session has ended, as when somebody has cancelled it. */
  async hasEnded(): Promise<boolean> {
    const answer = await this.#request(this.#path, { method: 'GET' })
    try {
      const { status } = ((await answer?.json()) ?? {}) as { status?: string }
      return status === 'completed' || status === 'failed' || status === 'cancelled'
    } catch {
      return false
    }
  }

  async #post(path: string, body: string, key?: string): Promise<Answer> {
    const headers = { 'content-type': 'application/json', ...(key !== undefined && { 'idempotency-key': key }) }
    const answer = await this.#request(path, { method: 'POST', headers, body })
    if (answer === undefined) return retryable('the server cannot be reached')
    if (answer.ok) {
      await answer.body?.cancel().catch(() => {})
      return {
        isAccepted: true,
        isRetryable: false,
        isFinal: false,
        code: undefined,
        message: '',
        retryAfterMs: undefined,
      }
    }
    return refusal(answer)
  }

  async #request(path: string, init: RequestInit): Promise<Response | undefined> {
    const { url, token } = this.#options
    try {
      const headers = new Headers(init.headers)
      const value = typeof token === 'function' ? await token() : token
      if (value !== undefined) headers.set('authorization', `Bearer ${value}`)
      return await fetch(httpUrl(url, path), { signal: AbortSignal.timeout(requestMs), ...init, headers })
    } catch {
      return undefined
    }
  }
}

function retryable(message: string): Answer {
  return { isAccepted: false, isRetryable: true, isFinal: false, code: undefined, message, retryAfterMs: undefined }
}

async function refusal(answer: Response): Promise<Answer> {
  const { status } = answer
  const problem = (await answer.json().catch(() => ({}))) as Partial<Problem>
  const isProblem = typeof problem.code === 'string'
  const after = Number(answer.headers.get('retry-after') ?? NaN)
  return {
    isAccepted: false,
    // An answer of a proxy has no code: its upstream may be restarting.
    isRetryable: isProblem ? problem.retryable === true : status === 429 || status >= 500,
    isFinal: status === 401 || status === 403 || status === 404,
    code: problem.code,
    message: problem.detail ?? `the server answered with ${status}`,
    retryAfterMs: Number.isFinite(after) ? Math.min(after * 1000, 60_000) : undefined,
  }
}
