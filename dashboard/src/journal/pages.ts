import type { EventPage, Recorded } from '@relive/types'

import { get, query } from '../api/http'

const pageSize = 200
/** Pages kept; the least recently used is dropped. */
const pagesAtMost = 40
/** How long rows have to be in view to be read: a list that scrolls past them does without. */
const restMs = 40

/**
 * Events by revision, read in pages as they come into view. Revisions are dense, so an event's
 * position in the list is known before it is read.
 */
export class JournalPages {
  readonly #sessionId: string
  readonly #changed: () => void
  readonly #pages = new Map<number, readonly Recorded[]>()
  readonly #asked = new Set<number>()
  /** Pages that the last rendering showed rows of, and had not. */
  readonly #wanted = new Set<number>()
  #timer: ReturnType<typeof setTimeout> | undefined

  constructor(sessionId: string, changed: () => void) {
    this.#sessionId = sessionId
    this.#changed = changed
  }

  /** To be called before each rendering: what only earlier ones showed is not read any more. */
  begin(): void {
    this.#wanted.clear()
  }

  close(): void {
    clearTimeout(this.#timer)
  }

  /** The event with this revision; `undefined` until it has been read, which follows if it stays in view. */
  at(revision: number, lastRevision: number): Recorded | undefined {
    const page = Math.floor((revision - 1) / pageSize)
    const events = this.#pages.get(page)
    const event = events?.[(revision - 1) % pageSize]
    if (event === undefined && revision <= lastRevision) this.#want(page)
    else if (events !== undefined) {
      this.#pages.delete(page)
      this.#pages.set(page, events)
    }
    return event
  }

  #want(page: number): void {
    this.#wanted.add(page)
    this.#timer ??= setTimeout(() => {
      this.#timer = undefined
      for (const each of this.#wanted) void this.#read(each)
    }, restMs)
  }

  async #read(page: number): Promise<void> {
    if (this.#asked.has(page)) return
    this.#asked.add(page)
    try {
      const path = `/sessions/${this.#sessionId}/events${query({ after: page * pageSize, limit: pageSize })}`
      const { events } = await get<EventPage>(path)
      this.#pages.set(page, events)
      const oldest = this.#pages.keys().next().value
      if (this.#pages.size > pagesAtMost && oldest !== undefined) this.#pages.delete(oldest)
      this.#changed()
    } catch {
      // The connection was lost or the session deleted, which is reported elsewhere. Read again when next in view.
    } finally {
      this.#asked.delete(page)
    }
  }
}
