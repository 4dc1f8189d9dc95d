import { ReliveError } from '@relive/types'

/** Gives a token to an element that needs one. */
export interface TokenRequest {
  /** Why one is needed: there was none, or it expires or was refused. */
  readonly reason: 'missing' | 'expiring'
  /** The token, or a promise of it. Setting the element's `token` does the same. */
  provide(token: string | Promise<string>): void
}

/** When a token expires that says so, in milliseconds since 1970. Only the server knows whether it is valid. */
export function expiryOf(token: string): number | undefined {
  try {
    const payload = (token.split('.')[1] ?? '').replaceAll('-', '+').replaceAll('_', '/')
    const { exp } = JSON.parse(atob(payload)) as { exp?: unknown }
    return typeof exp === 'number' ? exp * 1000 : undefined
  } catch {
    return undefined
  }
}

/** The token of an element, which its page renews when asked by an event. */
export class TokenHolder {
  /** Sends the event. */
  readonly #request: (request: TokenRequest) => void
  #token: string | undefined
  /** Given already; asked again, it expires or was refused. */
  #isUsed = false

  constructor(token: string | undefined, request: (request: TokenRequest) => void) {
    this.#token = token
    this.#request = request
  }

  set(token: string | undefined): void {
    if (token === this.#token) return
    this.#token = token
    this.#isUsed = false
  }

  /** Asks the page for a token if there is none. False: there is none to be had, so do without. */
  async begin(): Promise<boolean> {
    if (this.#token === undefined) await this.#ask('missing')
    return this.#token !== undefined
  }

  /** What a client asks for a token: the one that is held, unless it was given before. */
  readonly next = async (): Promise<string> => {
    if (this.#isUsed) await this.#ask('expiring')
    const token = this.#token ?? ''
    const expiry = expiryOf(token)
    if (this.#isUsed && expiry !== undefined && expiry <= Date.now()) {
      throw new ReliveError('unauthorized', 'the token has expired, and the page gave no other', false)
    }
    this.#isUsed = true
    return token
  }

  async #ask(reason: TokenRequest['reason']): Promise<void> {
    let provided: string | Promise<string> | undefined
    this.#request({
      reason,
      provide: (token) => {
        provided = token
      },
    })
    const token = await provided
    if (typeof token === 'string' && token !== '') this.set(token)
  }
}
