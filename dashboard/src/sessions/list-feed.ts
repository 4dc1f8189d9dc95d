import type { ReliveError, SessionListWatch, SessionSummary } from '@relive/types'

import { formatAddress, type ListFilters } from '../app/address'
import { client, noticeRefusal } from '../app/client'
import { noteLost } from '../app/known-now'
import { type Link, nextLink } from '../app/link'
import { FrameStore } from '../store/frame-store'
import { keeps, toSessionFilters } from './condition'

/** Sessions of one page, and of the live list's first frame: the server's default. */
const pageSize = 200
/** Pages that are read unasked for a filter that the server does not have: most of their rows may not be listed. */
const pagesAhead = 4
/** How often rows are looked through for those that have become too old. */
const agingMs = 15_000

export interface ListState {
  /** Newest first. */
  readonly sessions: readonly SessionSummary[]
  readonly isLoaded: boolean
  readonly hasMore: boolean
  readonly link: Link
  readonly error: ReliveError | undefined
}

const nothing: ListState = {
  sessions: [],
  isLoaded: false,
  hasMore: false,
  link: { connection: { state: 'idle' }, lostAt: undefined },
  error: undefined,
}

/** The sessions that match the filters: the newest live, older ones as the user scrolls. */
export class ListFeed {
  readonly store: FrameStore<ListState>
  readonly #watch: SessionListWatch
  readonly #keeps: ReturnType<typeof keeps>
  readonly #aging: ReturnType<typeof setInterval> | undefined
  #pages = 0
  #isClosed = false

  constructor(filters: ListFilters, before: ListState | undefined) {
    this.#keeps = keeps(filters)
    if (this.#keeps !== undefined) this.#aging = setInterval(() => this.#show(), agingMs)
    // The rows shown stay until there are new ones, so that typing does not flicker.
    this.store = new FrameStore<ListState>({ ...(before ?? nothing), isLoaded: false, error: undefined })
    this.#watch = client.watchSessions(
      { ...toSessionFilters(filters, Date.now()), limit: pageSize },
      {
        onSessions: () => this.#show(),
        onConnectionChange: (connection) => {
          this.store.update((state) => ({ ...state, link: nextLink(state.link, connection, Date.now()) }))
          noteLost(this, this.#isClosed ? undefined : this.store.latest.link.lostAt)
          noticeRefusal(connection)
        },
        onError: (error) => this.store.update({ error, isLoaded: true }),
      },
    )
  }

  close(): void {
    this.#isClosed = true
    noteLost(this, undefined)
    clearInterval(this.#aging)
    this.#watch.close()
  }

  /** Reads the next older page, if there is one. */
  async readMore(): Promise<void> {
    try {
      await this.#watch.readMore()
    } catch {
      // Scrolling further requests it again.
    }
    this.#show()
  }

  #show(): void {
    if (this.#isClosed) return
    const all = [...this.#watch.sessions.values()]
    const keep = this.#keeps
    const now = Date.now()
    const found = keep === undefined ? all : all.filter((session) => keep(session, now))
    const { sessions } = this.store.latest
    // So that nothing is arranged anew because the clock has moved, or because of a row that is not listed.
    const isSame = found.length === sessions.length && found.every((session, index) => session === sessions[index])
    this.store.update({
      sessions: isSame ? sessions : found,
      isLoaded: true,
      hasMore: this.#watch.hasMore,
    })
    if (keep === undefined || !this.#watch.hasMore || this.#pages >= pagesAhead) return
    this.#pages += 1
    void this.readMore()
  }
}

let current: { key: string; feed: ListFeed } | undefined

/** The feed for these filters. The pages share one, so navigating between them does not start again. */
export function listFeed(filters: ListFilters): ListFeed {
  // How its rows are shown is no matter of the server's.
  const key = formatAddress({ page: 'sessions', filters: { ...filters, sort: undefined, columns: undefined } })
  if (current?.key === key) return current.feed
  const before = current?.feed.store.latest
  current?.feed.close()
  current = { key, feed: new ListFeed(filters, before) }
  return current.feed
}
