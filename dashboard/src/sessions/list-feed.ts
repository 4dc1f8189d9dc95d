import type { ReliveError, SessionFilters, SessionListWatch, SessionPage, SessionSummary } from '@relive/types'

import { get, query } from '../api/http'
import { formatAddress, type ListFilters } from '../app/address'
import { client } from '../app/client'
import { nextLink, type Link } from '../app/link'
import { FrameStore } from '../store/frame-store'

/** Sessions on one page, and in the live list's first frame: as many as the server gives. */
const pageSize = 200
/** Rows kept at most; older ones are found by narrowing the filters. */
const rowsAtMost = 20_000

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

/** The sessions that match some filters: the newest live, older ones as they are scrolled to. */
export class ListFeed {
  readonly store: FrameStore<ListState>
  readonly #filters: SessionFilters
  readonly #watch: SessionListWatch
  #live: ReadonlyMap<string, SessionSummary> = new Map()
  #older = new Map<string, SessionSummary>()
  /** Where the next older page begins; `undefined` before the first was read, `null` after the last. */
  #cursor: string | undefined | null
  #isReading = false
  #isClosed = false

  constructor(filters: SessionFilters, before: ListState | undefined) {
    this.#filters = filters
    // What was shown stays until there is something newer, so that typing does not flicker.
    this.store = new FrameStore<ListState>({ ...(before ?? nothing), isLoaded: false, error: undefined })
    this.#watch = client.watchSessions(
      { ...filters, limit: pageSize },
      {
        onSessions: (sessions) => this.#changed(sessions),
        onConnectionChange: (connection) => this.store.update((state) => ({ ...state, link: nextLink(state.link, connection, Date.now()) })),
        onError: (error) => this.store.update({ error, isLoaded: true }),
      },
    )
  }

  close(): void {
    this.#isClosed = true
    this.#watch.close()
  }

  /** Reads the next older page, if there is one. */
  async readMore(): Promise<void> {
    if (this.#isReading || this.#cursor === null || this.#live.size + this.#older.size >= rowsAtMost) return
    this.#isReading = true
    try {
      // The live list bears no cursor, so the first page is read once to find where it ends.
      if (this.#cursor === undefined) this.#cursor = (await this.#read(undefined)) ?? null
      if (this.#cursor !== null) this.#cursor = (await this.#read(this.#cursor)) ?? null
    } catch {
      // Scrolling on asks again.
    } finally {
      this.#isReading = false
      this.#show()
    }
  }

  async #read(cursor: string | undefined): Promise<string | undefined> {
    const { status, ...others } = this.#filters
    const parameters = { ...others, status: status?.toString(), limit: pageSize, cursor } as Record<string, string | number | undefined>
    const page = await get<SessionPage>(`/sessions${query(parameters)}`)
    for (const session of page.sessions) this.#older.set(session.id, session)
    return page.nextCursor
  }

  #changed(sessions: ReadonlyMap<string, SessionSummary>): void {
    // Gone from the live list: deleted, or no longer one that matches.
    for (const id of this.#live.keys()) if (!sessions.has(id)) this.#older.delete(id)
    this.#live = sessions
    if (sessions.size < pageSize) this.#cursor = null
    this.#show()
  }

  #show(): void {
    if (this.#isClosed) return
    const all = this.#older.size === 0 ? [...this.#live.values()] : [...new Map([...this.#older, ...this.#live]).values()]
    all.sort(newestFirst)
    this.store.update({ sessions: all.slice(0, rowsAtMost), isLoaded: true, hasMore: this.#cursor !== null })
  }
}

export function newestFirst(a: SessionSummary, b: SessionSummary): number {
  if (a.createdAt !== b.createdAt) return a.createdAt < b.createdAt ? 1 : -1
  return a.id < b.id ? 1 : -1
}

export function toSessionFilters({ text, statuses, groupId, workflowId }: ListFilters): SessionFilters {
  return {
    ...(text.trim() !== '' && { text: text.trim() }),
    ...(statuses.length > 0 && { status: statuses }),
    ...(groupId !== '' && { groupId }),
    ...(workflowId !== '' && { workflowId }),
  }
}

let current: { key: string; feed: ListFeed } | undefined

/** The feed for these filters. The pages share one, so going from one to another does not begin anew. */
export function listFeed(filters: ListFilters): ListFeed {
  const key = formatAddress({ page: 'sessions', filters })
  if (current?.key === key) return current.feed
  const before = current?.feed.store.latest
  current?.feed.close()
  current = { key, feed: new ListFeed(toSessionFilters(filters), before) }
  return current.feed
}
