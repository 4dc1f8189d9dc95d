import { Connection, type ConnectionSettings, type ConnectionState } from './connection.js'
import { notify, ReliveError } from './errors.js'
import type { ServerFrame } from './generated/protocol.js'
import type { NodeStatus, SessionStatus, SessionSummary } from './generated/session.js'
import { share } from './merge-patch.js'

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
  /** By id, newest first; of more than `sessionsAtMost` the newest. */
  readonly sessions: ReadonlyMap<string, SessionSummary>
  readonly connection: ConnectionState
  close(): void
}

/** Sessions that a live list holds; those created first are let go. A page that is open for weeks must not grow for ever. */
export const sessionsAtMost = 20_000

/** The path of the live list with these filters. */
export function sessionListPath(filters: SessionFilters): string {
  const query = new URLSearchParams()
  for (const [name, value] of Object.entries(filters) as [string, unknown][]) {
    if (value !== undefined) query.set(name, String(value))
  }
  const search = query.toString()
  return search === '' ? '/ws/sessions' : `/ws/sessions?${search}`
}

function isNewer(a: SessionSummary, b: SessionSummary): boolean {
  return a.createdAt === b.createdAt ? a.id > b.id : a.createdAt > b.createdAt
}

/** The live list, on a socket of its own because the filters stand in its address. */
export class SessionList implements SessionListWatch {
  readonly #connection: Connection
  readonly #handlers: SessionListHandlers
  readonly #closed: (list: SessionList) => void
  #sessions: ReadonlyMap<string, SessionSummary> = new Map()

  constructor(settings: ConnectionSettings, handlers: SessionListHandlers, closed: (list: SessionList) => void) {
    this.#handlers = handlers
    this.#closed = closed
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

  get connection(): ConnectionState {
    return this.#connection.state
  }

  close(): void {
    this.#closed(this)
    this.#connection.close()
  }

  #received(frame: ServerFrame): void {
    switch (frame.type) {
      case 'sessions':
        this.#show(frame.sessions.map((session) => [session.id, this.#newer(session)] as const))
        break
      case 'session': {
        const { id } = frame.session
        if (frame.change === 'removed') {
          this.#show([...this.#sessions].filter(([key]) => key !== id))
        } else if (this.#sessions.has(id)) {
          const session = this.#newer(frame.session)
          if (session !== this.#sessions.get(id)) this.#show(new Map(this.#sessions).set(id, session))
        } else {
          this.#add(frame.session)
        }
        break
      }
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
    this.#closed(this)
    notify(() => this.#handlers.onError?.(error))
  }
}
