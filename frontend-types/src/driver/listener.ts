import { Backoff, type BackoffOptions } from '../backoff.js'
import type { Event, ServerFrame } from '../generated/protocol.js'
import type { SessionStatus } from '../generated/session.js'
import type { Control } from './control.js'
import { framesOf } from './frames.js'
import type { Sender } from './sender.js'

/** Milliseconds between two states of the session. */
const statesMs = 200

const statuses: Partial<Record<Event['type'], SessionStatus>> = {
  started: 'running',
  resumed: 'running',
  paused: 'paused',
  completed: 'completed',
  failed: 'failed',
  cancelled: 'cancelled',
}

/**
 * Hears what is asked of a run, on a stream of server-sent events that is opened again whenever it is lost. While no
 * node waits it follows the state; signals are events, so that while one waits it follows each event.
 */
export class Listener {
  readonly #sender: Sender
  readonly #control: Control
  readonly #backoff: Backoff
  #seen: number | undefined
  #isAwaiting = false
  #hasEvents = false
  #isStarted = false
  #isOver = false
  #abort: AbortController | undefined
  #wake: (() => void) | undefined

  constructor(sender: Sender, control: Control, backoff: BackoffOptions | undefined) {
    this.#sender = sender
    this.#control = control
    this.#backoff = new Backoff(backoff)
    control.onWaiting = (count) => this.#waiting(count)
  }

  /** The session exists. */
  start(): void {
    if (this.#isStarted || this.#isOver) return
    this.#isStarted = true
    void this.#run()
  }

  end(): void {
    this.#isOver = true
    this.#abort?.abort()
    this.#wake?.()
  }

  #waiting(count: number): void {
    this.#isAwaiting = count > 0
    // Back to states only with the next event: many waits in a row are heard on one stream.
    if (this.#isAwaiting && !this.#hasEvents) this.#abort?.abort()
  }

  async #run(): Promise<void> {
    while (!this.#isOver) {
      this.#abort = new AbortController()
      const { signal } = this.#abort
      this.#hasEvents = this.#isAwaiting
      const isFinal = await this.#follow(signal).catch(() => false)
      if (isFinal) return
      if (!signal.aborted) await this.#pause(this.#backoff.next())
    }
  }

  /** True: nothing follows, whatever is asked. */
  async #follow(signal: AbortSignal): Promise<boolean> {
    const query = this.#hasEvents ? `mode=events&after=${this.#seen ?? 0}` : `mode=delta&minIntervalMs=${statesMs}`
    const answer = await this.#sender.stream(query, signal)
    if (answer === undefined || !answer.ok || answer.body === null) {
      await answer?.body?.cancel()
      // Also of a token that is wrong: a function may give another one.
      return answer?.status === 404
    }
    for await (const frame of framesOf(answer.body)) {
      this.#backoff.reset()
      this.#received(frame)
      if (frame.type === 'end') return true
      if (signal.aborted) return false
      if (this.#hasEvents && !this.#isAwaiting) {
        this.#abort?.abort()
        return false
      }
    }
    return false
  }

  #received(frame: ServerFrame): void {
    switch (frame.type) {
      case 'snapshot':
        this.#saw(frame.revision)
        this.#control.statusIs(frame.session.status)
        break
      case 'delta': {
        this.#saw(frame.revision)
        const { status } = frame.patch as { status?: SessionStatus }
        if (status !== undefined) this.#control.statusIs(status)
        break
      }
      case 'event': {
        const { event } = frame
        const isNew = frame.revision > (this.#seen ?? 0)
        this.#saw(frame.revision)
        if (isNew && event.type === 'signalled') this.#control.signalled(event.nodeId, event.payload)
        const status = statuses[event.type]
        if (status !== undefined) this.#control.statusIs(status)
        break
      }
      case 'end':
        this.#control.statusIs(frame.status)
        break
      default:
        break
    }
  }

  #saw(revision: number): void {
    this.#seen = Math.max(this.#seen ?? 0, revision)
  }

  #pause(milliseconds: number): Promise<void> {
    return new Promise((resolve) => {
      const timer = setTimeout(resolve, milliseconds)
      this.#wake = () => {
        clearTimeout(timer)
        resolve()
      }
    })
  }
}
