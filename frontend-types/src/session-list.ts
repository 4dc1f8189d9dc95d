import { Backoff } from './backoff.js'
import type { Clock } from './clock.js'
import { Connection, type ConnectionSettings, type ConnectionState } from './connection.js'
import { notify, ReliveError } from './errors.js'
import type { ServerFrame, SessionChange, SessionPage } from './generated/protocol.js'
import type { NodeStatus, SessionStatus, SessionSummary } from './generated/session.js'
import { share } from './merge-patch.js'
import { httpUrl } from './web-socket.js'

/** The filters of `GET /sessions`. Times are RFC 3339. */
export interface SessionFilters {
  groupId?: string
  workflowId?: string
  status?: SessionStatus | readonly SessionStatus[]
  /** Together with `nodeStatus`: sessions in which this node has that status. */
  nodeId?: string
  nodeStatus?: NodeStatus
  startedAfter?: string
  startedBefore?: string
  endedAfter?: string
  endedBefore?: string
  updatedAfter?: string
  /** Sessions that this session has started. */
  parentSessionId?: string
  /** Sessions that no other session has started. */
  rootsOnly?: boolean
  /** `true`: sessions whose engine held a lease that has passed; `false`: all others. */
  stalled?: boolean
  /** Exactly this name. */
  name?: string
  /** All of these tags. */
  tag?: string | readonly string[]
  /** A part of the workflow's name or of the error, or the beginning of the id; at most 200 characters. */
  text?: string
  /** At most 200. */
  limit?: number
}

export interface SessionListHandlers {
  /** After every change, with a new map each time; what has not changed is the same object as before. */
  onSessions?(sessions: ReadonlyMap<string, SessionSummary>): void
  onConnectionChange?(state: ConnectionState): void
  /** The list is over: its connection is closed for good, or the server refused. */
  onError?(error: ReliveError): void
}

export interface SessionListWatch {
  /**
   * By id, newest first; of more than `sessionsAtMost` the newest. After a lost connection it keeps what it
   * has until it is read again, older pages included.
   */
  readonly sessions: ReadonlyMap<string, SessionSummary>
  /** There are older ones, which `readMore` reads. */
  readonly hasMore: boolean
  readonly connection: ConnectionState
  /**
   * Reads the next older page into the list, where it is kept up to date like the others. Calls while one is
   * under way wait for that one.
   */
  readMore(): Promise<void>
  close(): void
}

/** Sessions that a live list holds; those created first are let go. A page that is open for weeks must not grow for ever. */
export const sessionsAtMost = 20_000

/** The filters as the query string of `GET /sessions`, `GET /sessions/count` and the live list: empty, or with its `?`. */
export function sessionQuery(filters: SessionFilters): string {
  const query = new URLSearchParams()
  for (const [name, value] of Object.entries(filters) as [string, unknown][]) {
    if (value === undefined) continue
    // A comma separates tags, unless it follows a backslash.
    const values = name === 'tag' ? [value].flat().map((tag) => String(tag).replace(/[\\,]/g, '\\$&')) : value
    query.set(name, String(values))
  }
  const search = query.toString()
  return search === '' ? '' : `?${search}`
}

/** The path of the live list with these filters. */
export function sessionListPath(filters: SessionFilters): string {
  return `/ws/sessions${sessionQuery(filters)}`
}

function pageError(status: number): ReliveError {
  const message = `the next page of the list was answered with ${status}`
  if (status === 401) return new ReliveError('unauthorized', message)
  if (status === 403) return new ReliveError('forbidden', message)
  return new ReliveError('unavailable', message, true)
}

/** The address of the page of `GET /sessions` after a cursor. */
function pageUrl(base: string, filters: SessionFilters, cursor: string): string {
  const url = new URL(httpUrl(base, sessionListPath(filters).replace('/ws/', '/api/v1/')))
  url.searchParams.set('cursor', cursor)
  return url.href
}

function isNewer(a: SessionSummary, b: SessionSummary): boolean {
  return a.createdAt === b.createdAt ? a.id > b.id : a.createdAt > b.createdAt
}

/** What a list asks over HTTP. */
export interface Pages {
  readonly baseUrl: string
  readonly filters: SessionFilters
  fetch(url: string): Promise<Response>
}

/**
 * The live list, on a socket of its own because the filters stand in its address.
 *
 * The socket sends the newest rows once, and then every change of any row, older ones included. So a page
 * that was read is as live as the rest, until the connection is lost: the rows of older pages are then
 * *unconfirmed* until their page has been read again.
 */
export class SessionList implements SessionListWatch {
  readonly #connection: Connection
  readonly #pages: Pages
  readonly #clock: Clock
  readonly #handlers: SessionListHandlers
  readonly #closed: (list: SessionList) => void
  readonly #backoff: Backoff
  #sessions: ReadonlyMap<string, SessionSummary> = new Map()
  /** Where the next page begins that has not been read since the socket's first frame. */
  #cursor: string | undefined
  #unconfirmed = new Set<string>()
  /** What left the list while a page was on its way, which may still show it. */
  readonly #left = new Map<string, number>()
  #reading: Promise<void> | undefined
  /** Counts the socket's first frames: a page that was asked for before the last one is of no use. */
  #generation = 0
  #isClosed = false

  constructor(
    settings: ConnectionSettings,
    pages: Pages,
    handlers: SessionListHandlers,
    closed: (list: SessionList) => void,
  ) {
    this.#pages = pages
    this.#clock = settings.clock
    this.#handlers = handlers
    this.#closed = closed
    this.#backoff = new Backoff(settings.backoff)
    this.#connection = new Connection(settings, {
      opened: () => {},
      received: (frame) => this.#received(frame),
      ended: (error) => this.#fail(error),
      stateChanged: (state) => notify(() => handlers.onConnectionChange?.(state)),
    })
    this.#connection.connect()
  }

  get sessions(): ReadonlyMap<string, SessionSummary> {
    return this.#sessions
  }

  get hasMore(): boolean {
    return this.#cursor !== undefined && this.#sessions.size < sessionsAtMost
  }

  get connection(): ConnectionState {
    return this.#connection.state
  }

  close(): void {
    this.#isClosed = true
    this.#closed(this)
    this.#connection.close()
  }

  async readMore(): Promise<void> {
    if (this.hasMore) await this.#readOnce()
  }

  #readOnce(): Promise<void> {
    this.#reading ??= this.#read().finally(() => (this.#reading = undefined))
    return this.#reading
  }

  async #read(): Promise<void> {
    const { baseUrl, filters } = this.#pages
    const [cursor, generation] = [this.#cursor, this.#generation]
    if (cursor === undefined || this.#isClosed) return
    this.#left.clear()
    const response = await this.#pages.fetch(pageUrl(baseUrl, filters, cursor))
    if (!response.ok) throw pageError(response.status)
    const page = (await response.json()) as SessionPage
    if (generation === this.#generation && !this.#isClosed) this.#merge(page)
  }

  #received(frame: ServerFrame): void {
    switch (frame.type) {
      case 'sessions':
        this.#begin(frame.sessions, frame.nextCursor)
        break
      case 'session':
        this.#change(frame.change, frame.session)
        break
      case 'error': {
        const error = new ReliveError(frame.code, frame.message, frame.retryable)
        if (error.retryable) {
          this.#connection.restart()
        } else {
          this.close()
          this.#fail(error)
        }
        break
      }
      default:
        break
    }
  }

  /** The newest rows. Older ones that are held stay, unconfirmed, if there are older ones at all. */
  #begin(newest: readonly SessionSummary[], cursor: string | undefined): void {
    this.#generation += 1
    this.#cursor = cursor
    const last = newest.at(-1)
    const rows = newest.map((session) => [session.id, this.#newer(session)] as const)
    const sent = new Set(newest.map(({ id }) => id))
    const older =
      cursor === undefined || last === undefined
        ? []
        : [...this.#sessions].filter(([id, held]) => !sent.has(id) && isNewer(last, held))
    this.#unconfirmed = new Set(older.map(([id]) => id))
    this.#show([...rows, ...older])
    if (older.length > 0) void this.#confirm(this.#generation)
  }

  /** Reads older pages until every row that is held has been seen on one, or is gone. */
  async #confirm(generation: number): Promise<void> {
    const isCurrent = () => generation === this.#generation && !this.#isClosed
    while (this.#unconfirmed.size > 0 && this.#cursor !== undefined && isCurrent()) {
      try {
        await this.#readOnce()
        this.#backoff.reset()
      } catch {
        await new Promise<void>((resolve) => this.#clock.setTimeout(resolve, this.#backoff.next()))
      }
    }
  }

  #merge({ sessions, nextCursor }: SessionPage): void {
    const rows = new Map(this.#sessions)
    const last = sessions.at(-1)
    for (const session of sessions) {
      this.#unconfirmed.delete(session.id)
      if ((this.#left.get(session.id) ?? -1) < session.revision) rows.set(session.id, this.#newer(session))
    }
    for (const id of this.#unconfirmed) {
      const held = rows.get(id)
      const isPassed = nextCursor === undefined || last === undefined || (held !== undefined && isNewer(held, last))
      if (!isPassed) continue
      this.#unconfirmed.delete(id)
      rows.delete(id)
    }
    this.#cursor = nextCursor
    this.#show([...rows].sort(([, a], [, b]) => (isNewer(a, b) ? -1 : 1)).slice(0, sessionsAtMost))
  }

  #change(change: SessionChange, session: SessionSummary): void {
    const { id } = session
    this.#unconfirmed.delete(id)
    if (change === 'removed') {
      this.#left.set(id, session.revision)
      if (this.#sessions.has(id)) this.#show([...this.#sessions].filter(([key]) => key !== id))
      return
    }
    this.#left.delete(id)
    if (!this.#sessions.has(id)) {
      this.#add(session)
      return
    }
    const newer = this.#newer(session)
    if (newer !== this.#sessions.get(id)) this.#show(new Map(this.#sessions).set(id, newer))
  }

  /** Puts it where it belongs: an older one may come to match the filters later than newer ones. */
  #add(session: SessionSummary): void {
    const listed = [...this.#sessions]
    const after = listed.findIndex(([, other]) => isNewer(session, other))
    const at = after === -1 ? listed.length : after
    if (at >= sessionsAtMost) return
    listed.splice(at, 0, [session.id, share(undefined, session) as SessionSummary])
    this.#show(listed.slice(0, sessionsAtMost))
  }

  /** What is shown of a session never goes back. */
  #newer(session: SessionSummary): SessionSummary {
    const held = this.#sessions.get(session.id)
    if (held !== undefined && held.revision > session.revision) return held
    return share(held, session) as SessionSummary
  }

  #show(sessions: Iterable<readonly [string, SessionSummary]>): void {
    this.#sessions = new Map(sessions)
    notify(() => this.#handlers.onSessions?.(this.#sessions))
  }

  #fail(error: ReliveError): void {
    this.#isClosed = true
    this.#closed(this)
    notify(() => this.#handlers.onError?.(error))
  }
}
