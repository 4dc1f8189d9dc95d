import type { Message, MessagePage } from '@relive/types'

import { messageMoment, type SessionState } from '../session/state'
import type { FrameStore } from '../store/frame-store'
import {
  asking,
  detached,
  type MessageBook,
  type MessageRun,
  messagesAtMost,
  notAsking,
  withAround,
  withEarlier,
  withLater,
  withNewest,
} from './message-book'

/** Messages of a page. */
export const pageSize = 1000
/** During a replay the next page is read before the last of this many messages is shown. */
const readAhead = 200
/** Pages read to get past messages of the same millisecond; a book holds no more than these. */
const pagesAtMost = messagesAtMost / pageSize + 1

/** The query parameters of a request. */
export interface MessageQuery {
  readonly order: 'asc' | 'desc'
  readonly limit: number
  readonly since?: string
  readonly until?: string
  readonly after?: string
}

/** A missing part of a run's messages. */
export type Read = { readonly to: 'newest' | 'earlier' | 'later' } | { readonly to: 'around'; readonly moment: number }

/**
 * The part to read for a moment, milliseconds since 1970; `undefined` is now. A moment that the next
 * page (`previous`) does not reach is far away, and is read around.
 */
export function nextRead(book: MessageBook, moment: number | undefined, previous: Read | undefined): Read | undefined {
  const { stored, hasEarlier, hasLater } = book
  const hasRoom = stored.length + pageSize <= messagesAtMost
  if (moment === undefined) {
    if (hasLater) return { to: 'newest' }
    return hasEarlier && hasRoom ? { to: 'earlier' } : undefined
  }
  const [first, last] = [stored[0], stored.at(-1)]
  if (hasEarlier && (first === undefined || Date.parse(first.createdAt) > moment)) {
    return hasRoom && !hasLater && first !== undefined ? { to: 'earlier' } : { to: 'around', moment }
  }
  if (!hasLater) return undefined
  if (last === undefined || Date.parse(last.createdAt) <= moment) {
    return last === undefined || previous?.to === 'later' ? { to: 'around', moment } : { to: 'later' }
  }
  const ahead = stored.at(-readAhead)
  return ahead !== undefined && Date.parse(ahead.createdAt) <= moment ? { to: 'later' } : undefined
}

/**
 * Reads the messages that are missing for the selected moment, and those that the user requests.
 * One request is in flight at a time; the next one is chosen when it has been answered.
 */
export class MessageReader {
  readonly #store: FrameStore<SessionState>
  /** `undefined`: the request failed, or was cancelled. */
  readonly #ask: (query: MessageQuery) => Promise<MessagePage | undefined>
  #isReading = false
  #isOpen = false
  #hasFailed = false
  /** The part that the user requested. */
  #asked: Read | undefined
  #previous: Read | undefined
  /** The moment for which nothing more is read automatically, since the user reads older messages there. */
  #pinnedAt: { readonly moment: number | undefined } | undefined

  constructor(store: FrameStore<SessionState>, ask: (query: MessageQuery) => Promise<MessagePage | undefined>) {
    this.#store = store
    this.#ask = ask
  }

  /** Begins with the newest page. To be called after the subscription, which delivers all later messages. */
  open(): void {
    if (this.#isOpen) return
    this.#isOpen = true
    this.#want({ to: 'newest' })
  }

  /** Reads again after a failure. */
  retry(): void {
    this.#hasFailed = false
    this.follow()
  }

  readEarlier(): void {
    this.#pinnedAt = { moment: messageMoment(this.#store.latest) }
    this.#want({ to: 'earlier' })
  }

  readLater(): void {
    this.#pinnedAt = { moment: messageMoment(this.#store.latest) }
    this.#want({ to: 'later' })
  }

  readNewest(): void {
    this.#pinnedAt = undefined
    this.#want({ to: 'newest' })
  }

  /** To be called when the moment may have changed. */
  follow(): void {
    if (this.#isReading || !this.#isOpen) return
    const { book, ...state } = this.#store.latest
    const moment = messageMoment(state)
    if (this.#pinnedAt?.moment !== moment) this.#pinnedAt = undefined
    const wanted = this.#pinnedAt !== undefined || this.#hasFailed ? undefined : nextRead(book, moment, this.#previous)
    const read = this.#asked ?? wanted
    this.#asked = undefined
    this.#previous = read
    if (read !== undefined) void this.#read(read, moment)
  }

  #want(read: Read): void {
    this.#hasFailed = false
    this.#asked = read
    this.follow()
  }

  async #read(read: Read, moment: number | undefined): Promise<void> {
    this.#isReading = true
    // Adding older messages to a full book drops its newest: from here on it does not grow there.
    const isFull = read.to === 'earlier' && this.#store.latest.book.stored.length + pageSize > messagesAtMost
    this.#change((book) => asking(isFull ? detached(book) : book))
    const before = this.#store.latest.book.stored
    const add = await this.#found(read, this.#store.latest.book)
    this.#change(add ?? notAsking)
    this.#isReading = false
    this.#hasFailed = add === undefined
    // Whatever the result, there is nothing more to read for this moment.
    if (read.to === 'around' || this.#store.latest.book.stored === before) this.#pinnedAt ??= { moment }
    this.follow()
  }

  /** How to add what was read; `undefined` if the request failed. */
  async #found(read: Read, { stored }: MessageBook): Promise<((book: MessageBook) => MessageBook) | undefined> {
    const [first, last] = [stored[0], stored.at(-1)]
    if (read.to === 'around') {
      const earlier = await this.#run({ order: 'desc', until: timestamp(read.moment) }, [])
      const later = earlier && (await this.#run({ order: 'asc', since: timestamp(read.moment + 1) }, []))
      return later && ((book) => withAround(book, earlier, later))
    }
    if (read.to === 'earlier' && first !== undefined) {
      const earlier = await this.#run({ order: 'desc', until: first.createdAt }, stored)
      return earlier && ((book) => withEarlier(book, first, earlier))
    }
    if (read.to === 'later' && last !== undefined) {
      const later = await this.#run({ order: 'asc', since: last.createdAt }, stored)
      return later && ((book) => withLater(book, last, later))
    }
    const newest = await this.#run({ order: 'desc' }, [])
    return newest && ((book) => withNewest(book, newest))
  }

  /** A page, and the pages after it as long as they have nothing but the messages in `held`. */
  async #run(query: Omit<MessageQuery, 'limit'>, held: readonly Message[]): Promise<MessageRun | undefined> {
    const known = new Set(held.map(({ id }) => id))
    const found: Message[] = []
    let after: string | undefined
    for (let read = 0; read < pagesAtMost; read += 1) {
      const page = await this.#ask({ ...query, limit: pageSize, ...(after !== undefined && { after }) })
      if (page === undefined) return undefined
      found.push(...page.messages)
      after = page.nextAfter
      if (after === undefined || page.messages.some(({ id }) => !known.has(id))) break
    }
    return { messages: query.order === 'desc' ? found.reverse() : found, isEnd: after === undefined }
  }

  #change(change: (book: MessageBook) => MessageBook): void {
    this.#store.update((state) => ({ ...state, book: change(state.book) }))
  }
}

function timestamp(moment: number): string {
  return new Date(moment).toISOString()
}
