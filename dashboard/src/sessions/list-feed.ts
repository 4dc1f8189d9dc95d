import type { ReliveError, SessionFilters, SessionListWatch, SessionSummary } from '@relive/types'

import { formatAddress, type ListFilters } from '../app/address'
import { client, noticeRefusal } from '../app/client'
import { noteLost } from '../app/known-now'
import { type Link, nextLink } from '../app/link'
import { FrameStore } from '../store/frame-store'

/** Sessions of one page, and of the live list's first frame: the server's default. */
const pageSize = 200

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
  #isClosed = false

  constructor(filters: SessionFilters, before: ListState | undefined) {
    // The rows shown stay until there are new ones, so that typing does not flicker.
    this.store = new FrameStore<ListState>({ ...(before ?? nothing), isLoaded: false, error: undefined })
    this.#watch = client.watchSessions(
      { ...filters, limit: pageSize },
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
    this.store.update({ sessions: [...this.#watch.sessions.values()], isLoaded: true, hasMore: this.#watch.hasMore })
  }
}

export function toSessionFilters(filters: ListFilters): SessionFilters {
  const { text, statuses, groupId, workflowId, parentId, tags, endedAfter, endedBefore } = filters
  return {
    ...(text.trim() !== '' && { text: text.trim() }),
    ...(statuses.length > 0 && { status: statuses }),
    ...(groupId !== '' && { groupId }),
    ...(workflowId !== '' && { workflowId }),
    ...(parentId !== '' && { parentSessionId: parentId }),
    ...(tags.length > 0 && { tag: tags }),
    ...(endedAfter !== '' && { endedAfter }),
    ...(endedBefore !== '' && { endedBefore }),
  }
}

let current: { key: string; feed: ListFeed } | undefined

/** The feed for these filters. The pages share one, so navigating between them does not start again. */
export function listFeed(filters: ListFilters): ListFeed {
  const key = formatAddress({ page: 'sessions', filters })
  if (current?.key === key) return current.feed
  const before = current?.feed.store.latest
  current?.feed.close()
  current = { key, feed: new ListFeed(toSessionFilters(filters), before) }
  return current.feed
}
