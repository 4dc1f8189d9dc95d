import type { Sender } from './sender.js'

/** Renews the lease of a session until it ends, so that a program that was killed shows: its run is stalled. */
export class Lease {
  readonly #sender: Sender
  readonly #seconds: number
  #timer: ReturnType<typeof setTimeout> | undefined
  #isOver = false

  constructor(sender: Sender, seconds: number) {
    this.#sender = sender
    this.#seconds = seconds
  }

  /** Begins to renew it. The command that starts the session takes it. */
  start(): void {
    if (!this.#isOver) this.#timer = setTimeout(() => void this.#renew(), (this.#seconds * 1_000) / 3)
  }

  end(): void {
    this.#isOver = true
    clearTimeout(this.#timer)
  }

  async #renew(): Promise<void> {
    const { isAccepted, isRetryable } = await this.#sender.renewLease(this.#seconds)
    // Refused: the session has ended, or is gone.
    if (isAccepted || isRetryable) this.start()
  }
}
