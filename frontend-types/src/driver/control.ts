import { ReliveError } from '../errors.js'
import type { SessionStatus } from '../generated/session.js'
import { Cancelled } from './cancelled.js'

/** Somebody who waits for a signal to a node. */
interface Waiter {
  answered(payload: unknown): void
  failed(error: Error): void
  /** Never to be answered. */
  forgotten(): void
}

/** What others ask of a run: to pause, to go on, to end, and what they answer to a node that waits. */
export class Control {
  readonly #ending = new AbortController()
  readonly #waiters = new Map<string, Waiter>()
  #resumed: (() => void)[] = []
  #isPaused = false
  #isOver = false
  /** Why nobody can answer to a node. */
  #unreported: string | undefined
  /** Told how many nodes wait for a signal. */
  onWaiting: (count: number) => void = () => {}

  /** Aborted when somebody else has ended the run. */
  get signal(): AbortSignal {
    return this.#ending.signal
  }

  get isPaused(): boolean {
    return this.#isPaused
  }

  get isCancelled(): boolean {
    return this.signal.aborted
  }

  /** Whether a node that begins has to wait, or must not begin. */
  get holdsNodes(): boolean {
    return this.#isPaused || this.isCancelled
  }

  statusIs(status: SessionStatus): void {
    if (this.#isOver || this.isCancelled) return
    this.#isPaused = status === 'paused'
    if (status === 'completed' || status === 'failed' || status === 'cancelled')
      this.cancel(`the run was ended from outside: ${status}`)
    else if (!this.#isPaused) this.#goOn()
  }

  cancel(message: string): void {
    if (this.#isOver || this.isCancelled) return
    const reason = new Cancelled(message)
    this.#isPaused = false
    this.#ending.abort(reason)
    this.#goOn()
    this.#failWaiters(reason)
  }

  signalled(nodeId: string, payload: unknown): void {
    this.#waiters.get(nodeId)?.answered(payload)
  }

  /** Nothing is reported, or nothing any more: nobody can answer. */
  unreported(why: string): void {
    this.#unreported = why
    this.#isPaused = false
    this.#goOn()
    this.#failWaiters(unanswerable(why))
  }

  /** The program itself has ended the run; what is said of it from now on is of no interest. */
  over(): void {
    this.#isOver = true
    this.#isPaused = false
    this.#goOn()
    // Nobody awaits them any more: rejected, they would end the program.
    for (const waiter of [...this.#waiters.values()]) waiter.forgotten()
  }

  /** Waits while the run is paused. Rejects with `Cancelled` when somebody has ended it. */
  async checkpoint(): Promise<void> {
    while (this.#isPaused) await new Promise<void>((resolve) => this.#resumed.push(resolve))
    this.signal.throwIfAborted()
  }

  /** The payload of the next signal to the node. Rejects with `Cancelled`, a `TimeoutError` or a `ReliveError`. */
  signalTo(nodeId: string, timeoutMs: number | undefined): Promise<unknown> {
    if (this.isCancelled) return Promise.reject(this.signal.reason)
    if (this.#unreported !== undefined) return Promise.reject(unanswerable(this.#unreported))
    if (this.#waiters.has(nodeId)) return Promise.reject(new TypeError(`${nodeId} waits for a signal already`))
    return new Promise((resolve, reject) => {
      let timer: ReturnType<typeof setTimeout> | undefined
      const settle = () => {
        clearTimeout(timer)
        this.#waiters.delete(nodeId)
        this.onWaiting(this.#waiters.size)
      }
      const failed = (error: Error) => {
        settle()
        reject(error)
      }
      const answered = (payload: unknown) => {
        settle()
        resolve(payload)
      }
      this.#waiters.set(nodeId, { answered, failed, forgotten: settle })
      this.onWaiting(this.#waiters.size)
      if (timeoutMs !== undefined)
        timer = setTimeout(() => failed(new DOMException(`nobody answered to ${nodeId}`, 'TimeoutError')), timeoutMs)
    })
  }

  #goOn(): void {
    const resumed = this.#resumed
    this.#resumed = []
    for (const resolve of resumed) resolve()
  }

  #failWaiters(error: Error): void {
    for (const waiter of [...this.#waiters.values()]) waiter.failed(error)
  }
}

function unanswerable(why: string): ReliveError {
  return new ReliveError('unavailable', `nobody can answer: ${why}`, false)
}
