import type { ReliveClient } from '../client.js'
import type { ReliveError } from '../errors.js'
import type { Message, WorkflowSession } from '../generated/session.js'
import type { EndFrame, Subscription, TokenFrame } from '../subscription.js'
import { atFrame, FrameStore } from './frame-store.js'
import { Holders } from './holders.js'
import {
  asking,
  type MessageBook,
  messagesAtMost,
  noMessages,
  notAsking,
  refilled,
  withEarlier,
  withoutStreams,
  withStored,
  withTokens,
} from './message-book.js'
import { readBefore, readNewest } from './message-refill.js'
import type { Place } from './place.js'
import { Readiness } from './readiness.js'
import { asReliveError } from './requests.js'

/** What is known of one session. Never changed in place: what has not changed is the same object as before. */
export interface SessionState {
  /** `undefined` before the first state has come. */
  readonly session: WorkflowSession | undefined
  /** How it ended, once it has. */
  readonly end: EndFrame | undefined
  /** Why nothing more comes: the server refused, or the connection is closed for good. */
  readonly error: ReliveError | undefined
  readonly messages: MessagesState
}

export interface MessagesState {
  /** In chronological order, followed by those that are being written (`isStreaming`). */
  readonly all: readonly Message[]
  /** There are older ones, which `readEarlier` reads. */
  readonly hasEarlier: boolean
  /** The newest page has been read; from then on there are no gaps. */
  readonly isReady: boolean
  readonly isReading: boolean
  /** Why they could not be read. */
  readonly error: ReliveError | undefined
}

interface Held extends SessionState {
  readonly book: MessageBook
}

export interface Wants {
  /** Read and receive messages as well. */
  messages?: boolean
}

/** The least interval between two states: about 30 a second. */
const minIntervalMs = 33

const initial: Held = {
  session: undefined,
  end: undefined,
  error: undefined,
  book: noMessages,
  messages: { all: [], hasEarlier: false, isReady: false, isReading: false, error: undefined },
}

/**
 * One session for any number of views, on one subscription. It is watched while somebody listens, and for a moment
 * after, so that a view that goes and comes back costs nothing.
 */
export class SessionStore {
  readonly sessionId: string
  readonly #client: ReliveClient
  readonly #holders: Holders
  readonly #store = new FrameStore<Held>(initial, atFrame)
  #subscription: Subscription | undefined
  #hasMessages = false
  #wantsMessages = false
  /** Frames that arrived since the last flush: hundreds of chunks a second are applied once per frame. */
  #gathered: { tokens: TokenFrame[]; messages: Message[] } = { tokens: [], messages: [] }
  /** The reading under way; the answer to an older one is passed over. */
  #reading: object | undefined
  readonly #sessionReady = new Readiness(() => {
    const { session, error } = this.getState()
    return session !== undefined || error !== undefined
  })
  readonly #messagesReady = new Readiness(() => {
    const { messages, error } = this.getState()
    return messages.isReady || messages.error !== undefined || error !== undefined
  })

  constructor(client: ReliveClient, sessionId: string, place: Place) {
    this.#client = client
    this.sessionId = sessionId
    this.#holders = new Holders(
      () => {
        place.keep()
        this.#watch()
      },
      () => {
        this.#unwatch()
        this.#hasMessages = false
        this.#wantsMessages = false
        place.forget()
      },
    )
  }

  /** The state that is shown; the same object until something has changed. */
  readonly getState = (): SessionState => this.#store.shown()

  /** Calls `listener` when the state has changed, at most once a frame, until the returned function is called. */
  subscribe(listener: () => void, { messages = false }: Wants = {}): () => void {
    const stop = this.#store.subscribe(listener)
    if (messages) this.#wantsMessages = true
    const release = this.#holders.hold()
    // Somebody watched already, but without messages.
    if (messages && !this.#hasMessages) this.#watch()
    return () => {
      stop()
      release()
    }
  }

  /**
   * Resolves when there is a first state, with `messages` the first messages, or an error. Begins to watch, for a view
   * that waits before it can listen.
   */
  ready({ messages = false }: Wants = {}): Promise<void> {
    const readiness = messages ? this.#messagesReady : this.#sessionReady
    return readiness.wait((listener) => this.subscribe(listener, { messages }))
  }

  /** Reads older messages. Resolves when they are there, or `messages.error` says why not. */
  async readEarlier(): Promise<void> {
    const { book, messages } = this.#store.latest
    const first = book.stored[0]
    if (!book.hasEarlier || messages.isReading || first === undefined || book.stored.length >= messagesAtMost) return
    await this.#read(async () => {
      const run = await readBefore(this.#client, this.sessionId, first, book.stored)
      return (now) => withEarlier(now, first, run)
    })
  }

  /** Watches again after an error. */
  retry(): void {
    if (this.#store.latest.error === undefined) return
    this.#store.update({ error: undefined })
    this.#unwatch()
    if (this.#holders.isHeld) this.#watch()
  }

  #watch(): void {
    if (this.#store.latest.error !== undefined) return
    if (this.#subscription !== undefined && this.#hasMessages === this.#wantsMessages) return
    this.#subscription?.unsubscribe()
    this.#hasMessages = this.#wantsMessages
    const { session } = this.#store.latest
    try {
      this.#subscription = this.#client.subscribe(
        this.sessionId,
        { mode: 'delta', messages: this.#hasMessages, minIntervalMs, ...(session !== undefined && { session }) },
        {
          onSubscribed: () => void this.#refill(),
          onSession: (next) => this.#store.update({ session: next }),
          onMessage: (message) => this.#gather(() => this.#gathered.messages.push(message)),
          onToken: (token) => this.#gather(() => this.#gathered.tokens.push(token)),
          onEnd: (end) => this.#store.update({ end }),
          onError: (error) => this.#failed(error),
        },
      )
    } catch (error) {
      this.#failed(asReliveError(error))
    }
  }

  #failed(error: ReliveError): void {
    this.#subscription = undefined
    this.#store.update({ error })
  }

  #unwatch(): void {
    this.#subscription?.unsubscribe()
    this.#subscription = undefined
    this.#reading = undefined
  }

  /** Messages from before the subscription, or from while the connection was lost, are not sent: they are read. */
  async #refill(): Promise<void> {
    if (!this.#hasMessages) return
    // The server sends the text of each message being written from its beginning.
    this.#gathered.tokens = []
    this.#change(withoutStreams)
    await this.#read(async () => {
      const run = await readNewest(this.#client, this.sessionId, this.#store.latest.book.stored)
      return (now) => refilled(now, run, run.isJoined)
    })
  }

  async #read(read: () => Promise<(book: MessageBook) => MessageBook>): Promise<void> {
    const reading = {}
    this.#reading = reading
    this.#change(asking, { isReading: true })
    let change: (book: MessageBook) => MessageBook = notAsking
    let error: ReliveError | undefined
    try {
      change = await read()
    } catch (cause) {
      error = asReliveError(cause)
    }
    if (this.#reading !== reading) return
    this.#addGathered()
    this.#change(change, { isReading: false, error, ...(error === undefined && { isReady: true }) })
  }

  /** Batches what arrives within a frame. */
  #gather(add: () => void): void {
    const { tokens, messages } = this.#gathered
    const isFirst = tokens.length + messages.length === 0
    add()
    if (isFirst) atFrame(() => this.#addGathered())
    // The next frame may be far off; the batch is bounded.
    else if (tokens.length + messages.length > 2000) this.#addGathered()
  }

  #addGathered(): void {
    const { tokens, messages } = this.#gathered
    if (tokens.length + messages.length === 0) return
    this.#gathered = { tokens: [], messages: [] }
    const now = new Date().toISOString()
    this.#change((book) => withStored(withTokens(book, tokens, now), messages))
    this.#store.flush()
  }

  #change(change: (book: MessageBook) => MessageBook, also: Partial<MessagesState> = {}): void {
    this.#store.update((held) => {
      const book = change(held.book)
      const isSame = book.stored === held.book.stored && book.streaming === held.book.streaming
      const messages: MessagesState = {
        ...held.messages,
        ...also,
        all: isSame ? held.messages.all : [...book.stored, ...book.streaming.values()],
        hasEarlier: book.hasEarlier,
      }
      return { ...held, book, messages }
    })
  }
}
