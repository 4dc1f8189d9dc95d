import type { BackoffOptions } from '../backoff.js'
import type { Command, TokenChunk } from '../generated/protocol.js'
import type { Control } from './control.js'
import { encode } from './encode.js'
import { Lease } from './lease.js'
import { Listener } from './listener.js'
import { type Dropped, Outbox, type OutboxLimits } from './outbox.js'
import { type Answer, Sender, type SenderOptions } from './sender.js'

/** What could not be recorded; the program itself goes on. */
export interface ReportProblem {
  /** For people, once for each reason. */
  readonly message: string
  /** Commands that were dropped so far. */
  readonly dropped: number
}

export interface ReporterOptions extends SenderOptions {
  readonly limits: OutboxLimits
  readonly backoff: BackoffOptions | undefined
  /** Seconds after which the run is shown as stalled if nothing is heard of this program. */
  readonly leaseSeconds: number
  readonly onProblem: ((problem: ReportProblem) => void) | undefined
}

export interface AddOptions {
  /** Kept although more waits than is to be kept. */
  isEssential?: boolean
  /** The newest of this key counts. */
  replaces?: string
}

/** Receives the commands of the run and its nodes. Never throws. */
export interface Reporter {
  add(command: Command, options?: AddOptions): void
  settle(key: string): void
  /** Starts the session, and from then on says that this program drives it. */
  start(): void
  show(chunk: TokenChunk): void
  /** Resolves when the session exists, or will not. */
  readonly created: Promise<void>
  /** Resolves when everything was answered, or after so many milliseconds. */
  end(milliseconds: number): Promise<void>
}

/** Discards everything. */
export function silent(control: Control): Reporter {
  control.unreported('nothing is reported')
  const done = Promise.resolve()
  return { add: () => {}, settle: () => {}, start: () => {}, show: () => {}, created: done, end: () => done }
}

/** Reports to a server in the background, and tells `control` what others ask of the run. */
export class ServerReporter implements Reporter {
  readonly #options: ReporterOptions
  readonly #outbox: Outbox
  readonly #control: Control
  readonly created: Promise<void>
  #settleCreated: () => void = () => {}
  readonly #listener: Listener
  readonly #lease: Lease
  #dropped = 0
  readonly #told = new Set<string>()

  constructor(options: ReporterOptions, control: Control) {
    this.#options = options
    this.#control = control
    this.created = new Promise((resolve) => (this.#settleCreated = resolve))
    const sender = new Sender(options)
    this.#listener = new Listener(sender, control, options.backoff)
    this.#lease = new Lease(sender, options.leaseSeconds)
    sender.onCreated = () => {
      this.#settleCreated()
      this.#listener.start()
      this.#lease.start()
    }
    this.#outbox = new Outbox(
      sender,
      { refused: (answer) => this.#refused(answer), dropped: (why) => this.#drop(why) },
      options.limits,
      options.backoff,
    )
  }

  add(command: Command, options?: AddOptions): void {
    this.#outbox.add(encode(command), options)
  }

  settle(key: string): void {
    this.#outbox.settle(key)
  }

  start(): void {
    const start: Command & { leaseSeconds: number } = { type: 'start', leaseSeconds: this.#options.leaseSeconds }
    this.add(start, { isEssential: true })
  }

  show(chunk: TokenChunk): void {
    this.#outbox.show(chunk)
  }

  async end(milliseconds: number): Promise<void> {
    this.#listener.end()
    if (!(await this.#outbox.flush(milliseconds))) {
      this.#tell(`${this.#outbox.size} commands were not sent within ${milliseconds} ms; the run is recorded in part`)
    }
    this.#lease.end()
    this.#outbox.end()
    this.#settleCreated()
    if (this.#dropped > 0) this.#tell(`in all ${this.#dropped} commands were not recorded`)
  }

  #refused(answer: Answer): void {
    if (!answer.isFinal) {
      this.#tell(`the server refused a command: ${answer.message}`)
      return
    }
    if (answer.code !== 'illegal_transition') this.#tell(`nothing more is recorded: ${answer.message}`)
    this.#outbox.end()
    this.#settleCreated()
    this.#lease.end()
    this.#listener.end()
    // Also when nothing more is recorded for another reason: the program goes on then.
    if (answer.code === 'illegal_transition') this.#control.cancel(`the run was ended from outside: ${answer.message}`)
    else this.#control.unreported(answer.message)
  }

  #drop(why: Dropped): void {
    this.#dropped += 1
    if (why === 'full') this.#tell('more waits to be sent than is kept; what is not essential is dropped')
  }

  #tell(message: string): void {
    if (this.#told.has(message) || this.#told.size > 20) return
    this.#told.add(message)
    const { onProblem } = this.#options
    try {
      if (onProblem === undefined) console.warn(`relive: ${message}`)
      else onProblem({ message, dropped: this.#dropped })
    } catch {
      // A listener's own failure must not become the program's.
    }
  }
}
