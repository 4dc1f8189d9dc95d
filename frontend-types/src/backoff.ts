export interface BackoffOptions {
  /** The bound of the first wait, doubled by each further one. Default 250. */
  firstMs?: number
  /** The bound no wait goes beyond. Default 10 000. */
  mostMs?: number
  /** A connection that lasted this long starts the waits over. Default 10 000. */
  stableMs?: number
  /** From 0 up to, and not including, 1. Default `Math.random`. */
  random?: () => number
}

/**
 * Exponential backoff with full jitter: each wait is anywhere between zero and its bound, so that
 * the viewers of a restarted server do not all come back in the same moment.
 */
export class Backoff {
  readonly stableMs: number
  readonly #firstMs: number
  readonly #mostMs: number
  readonly #random: () => number
  #failures = 0

  constructor({ firstMs = 250, mostMs = 10_000, stableMs = 10_000, random = Math.random }: BackoffOptions = {}) {
    this.#firstMs = firstMs
    this.#mostMs = mostMs
    this.stableMs = stableMs
    this.#random = random
  }

  /** How long to wait before the next attempt, in milliseconds. */
  next(): number {
    const bound = Math.min(this.#mostMs, this.#firstMs * 2 ** this.#failures)
    this.#failures += 1
    return this.#random() * bound
  }

  reset(): void {
    this.#failures = 0
  }
}
