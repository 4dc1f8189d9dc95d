import type { BackoffOptions } from '../backoff.js'
import type { Command } from '../generated/protocol.js'
import { encode } from './encode.js'
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
  /** Resolves when everything was answered, or after so many milliseconds. */
  end(milliseconds: number): Promise<void>
}

/** Discards everything. */
export const silent: Reporter = { add: () => {}, settle: () => {}, end: () => Promise.resolve() }

/** Reports to a server in the background. `ended` is called when nothing more is accepted. */
export class ServerReporter implements Reporter {
  readonly #options: ReporterOptions
  readonly #outbox: Outbox
  readonly #ended: (answer: Answer) => void
  #dropped = 0
  readonly #told = new Set<string>()

  constructor(options: ReporterOptions, ended: (answer: Answer) => void) {
    this.#options = options
    this.#ended = ended
    this.#outbox = new Outbox(
      new Sender(options),
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

  async end(milliseconds: number): Promise<void> {
    if (!(await this.#outbox.flush(milliseconds))) {
      this.#tell(`${this.#outbox.size} commands were not sent within ${milliseconds} ms; the run is recorded in part`)
    }
    this.#outbox.end()
    if (this.#dropped > 0) this.#tell(`in all ${this.#dropped} commands were not recorded`)
  }

  #refused(answer: Answer): void {
    if (!answer.isFinal) {
      this.#tell(`the server refused a command: ${answer.message}`)
      return
    }
    if (answer.code !== 'illegal_transition') this.#tell(`nothing more is recorded: ${answer.message}`)
    this.#outbox.end()
    this.#ended(answer)
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
