import type { Log, LogPage } from '@relive/types'

/** Lines of a page, and that are kept. */
const linesAtMost = 500
/** Between two readings while a run goes on, in milliseconds. */
const pauseMs = 700

/** The newest log lines of a session, read from when somebody wants to see them. */
export class LogFeed {
  readonly #read: (query: string) => Promise<LogPage>
  readonly #changed: (logs: readonly Log[] | undefined, problem?: unknown) => void
  #logs: readonly Log[] | undefined
  #newest = 0
  #upTo: number | undefined
  #isWanted = false
  #timer: ReturnType<typeof setTimeout> | undefined
  #isReading = false
  #isClosed = false

  constructor(
    read: (query: string) => Promise<LogPage>,
    changed: (logs: readonly Log[] | undefined, problem?: unknown) => void,
  ) {
    this.#read = read
    this.#changed = changed
  }

  want(): void {
    this.#isWanted = true
    this.#plan(0)
  }

  /** The session has come so far. */
  reached(revision: number): void {
    this.#newest = revision
    this.#plan(this.#logs === undefined ? 0 : pauseMs)
  }

  close(): void {
    this.#isClosed = true
    clearTimeout(this.#timer)
  }

  #plan(milliseconds: number): void {
    const isBehind = this.#newest > (this.#upTo ?? 0)
    if (!this.#isWanted || !isBehind || this.#isReading || this.#isClosed) return
    this.#isReading = true
    this.#timer = setTimeout(() => void this.#catchUp(), milliseconds)
  }

  async #catchUp(): Promise<void> {
    const upTo = this.#newest
    const from = this.#upTo
    const after = from === undefined ? `desc&after=${upTo + 1}` : `asc&after=${from}`
    try {
      const { logs } = await this.#read(`limit=${linesAtMost}&order=${after}`)
      const last = logs.at(-1)?.revision
      this.#logs = from === undefined ? logs.reverse() : [...(this.#logs ?? []), ...logs].slice(-linesAtMost)
      // A full page: there may be more.
      this.#upTo = from === undefined || logs.length < linesAtMost ? upTo : last
      this.#changed(this.#logs)
    } catch (cause) {
      this.#changed(this.#logs, cause)
    }
    this.#isReading = false
    this.#plan(pauseMs)
  }
}
