import type { ReliveClient } from '../client.js'
import type { ReliveError } from '../errors.js'
import type { SessionSummary } from '../generated/session.js'
import type { SessionFilters, SessionListWatch } from '../session-list.js'
import { atFrame, FrameStore } from './frame-store.js'
import { Holders } from './holders.js'
import type { Place } from './place.js'
import { Readiness } from './readiness.js'
import { asReliveError } from './requests.js'

/** A live list of sessions. Never changed in place. */
export interface ListState {
  /** Newest first. */
  readonly sessions: readonly SessionSummary[]
  /** There are older ones, which `readMore` reads. */
  readonly hasMore: boolean
  /** The first rows have come. */
  readonly isReady: boolean
  /** Why nothing more comes. */
  readonly error: ReliveError | undefined
}

const initial: ListState = { sessions: [], hasMore: false, isReady: false, error: undefined }

/** One live list for any number of views. It has a socket of its own, because its filters stand in the address. */
export class ListStore {
  readonly #client: ReliveClient
  readonly #filters: SessionFilters
  readonly #holders: Holders
  readonly #store = new FrameStore<ListState>(initial, atFrame)
  #watch: SessionListWatch | undefined
  readonly #ready = new Readiness(() => {
    const { isReady, error } = this.getState()
    return isReady || error !== undefined
  })

  constructor(client: ReliveClient, filters: SessionFilters, place: Place) {
    this.#client = client
    this.#filters = filters
    this.#holders = new Holders(
      () => {
        place.keep()
        this.#begin()
      },
      () => {
        this.#watch?.close()
        this.#watch = undefined
        place.forget()
      },
    )
  }

  readonly getState = (): ListState => this.#store.shown()

  readonly subscribe = (listener: () => void): (() => void) => {
    const stop = this.#store.subscribe(listener)
    const release = this.#holders.hold()
    return () => {
      stop()
      release()
    }
  }

  /** Resolves when the first rows have come, or an error. Begins to watch. */
  ready(): Promise<void> {
    return this.#ready.wait(this.subscribe)
  }

  /** Watches again after an error. */
  retry(): void {
    if (this.#store.latest.error === undefined) return
    this.#store.update({ error: undefined })
    if (this.#holders.isHeld) this.#begin()
  }

  /** Reads the next older page. Rejects with a `ReliveError`. */
  async readMore(): Promise<void> {
    await this.#watch?.readMore()
  }

  #begin(): void {
    try {
      this.#watch = this.#client.watchSessions(this.#filters, {
        onSessions: (sessions) => {
          const hasMore = this.#watch?.hasMore ?? false
          this.#store.update({ sessions: [...sessions.values()], hasMore, isReady: true })
        },
        onError: (error) => this.#store.update({ error }),
      })
    } catch (error) {
      this.#store.update({ error: asReliveError(error) })
    }
  }
}
