import {
  type EventPage,
  type GraphDefinition,
  type Log,
  type LogPage,
  type Message,
  ReliveClient,
  type ReliveError,
  type Timeline,
  type WorkflowSession,
} from '@relive/types'
import { ask, asReliveError, readBefore, SessionStore, saidBy } from '@relive/types/stores'
import { hasEnded } from '../../../dashboard/src/status/status'
import { readLanes } from '../../../dashboard/src/timeline/bars'
import { advance, type Lanes, noLanes } from '../../../dashboard/src/timeline/lanes'
import type { Address } from './address'
import { LogFeed } from './log-feed'

/** What an element shows. */
export interface Shown {
  readonly session: WorkflowSession | undefined
  /** `undefined` for a run without one, or until it has come. */
  readonly graph: GraphDefinition | undefined
  readonly lanes: Lanes
  readonly messages: readonly Message[]
  readonly hasEarlier: boolean
  /** Why the messages could not be read. */
  readonly messagesError: ReliveError | undefined
  /** `undefined` until they are asked for, and have come. */
  readonly logs: readonly Log[] | undefined
  readonly logsError: ReliveError | undefined
  /** Why nothing more comes. */
  readonly error: ReliveError | undefined
  /** The connection was lost, and is being made again. */
  readonly isLost: boolean
}

export const nothing: Shown = {
  session: undefined,
  graph: undefined,
  lanes: noLanes,
  messages: [],
  hasEarlier: false,
  messagesError: undefined,
  logs: undefined,
  logsError: undefined,
  error: undefined,
  isLost: false,
}

type Moment = { revision: string } | { at: string }

/** One session, live or as it was at a moment, until it is closed. */
export class Feed {
  readonly #client: ReliveClient
  readonly #sessionId: string
  readonly #changed: (shown: Shown) => void
  readonly #stops: (() => void)[] = []
  readonly #logs: LogFeed
  #store: SessionStore | undefined
  #shown = nothing
  /** What the lanes have been advanced to. */
  #counted: WorkflowSession | undefined
  #isClosed = false

  constructor(address: Address, getToken: (() => Promise<string>) | undefined, changed: (shown: Shown) => void) {
    this.#sessionId = address.sessionId
    this.#changed = changed
    this.#client = new ReliveClient({ url: address.server, ...(getToken !== undefined && { getToken }) })
    this.#logs = new LogFeed(
      (query) => ask<LogPage>(this.#client, `${this.#path}/logs?${query}`),
      (logs, problem) => this.#show({ logs, logsError: problem === undefined ? undefined : asReliveError(problem) }),
    )
  }

  /** Shows the newest state, and every newer one. */
  live(): void {
    // By itself: an element shows one session, so that there is nothing to share.
    const store = new SessionStore(this.#client, this.#sessionId, { keep: () => {}, forget: () => {} })
    this.#store = store
    this.#stops.push(
      store.subscribe(() => this.#follow(store), { messages: true }),
      this.#client.onConnectionChange(({ state }) => this.#show({ isLost: state === 'waiting' })),
    )
  }

  /** Shows one moment, and no other. */
  async at(moment: Moment): Promise<void> {
    try {
      const query = new URLSearchParams(moment).toString()
      const session = await ask<WorkflowSession>(this.#client, `${this.#path}?${query}`)
      this.#show({ session })
      this.#logs.reached(session.revision)
      await Promise.all([this.#readGraph(session), this.#readTimeline(), this.#readMessages(session)])
    } catch (cause) {
      this.#show({ error: asReliveError(cause) })
    }
  }

  readEarlier(): void {
    if (this.#store !== undefined) void this.#store.readEarlier()
  }

  /** From now on log lines are read too. */
  readLogs(): void {
    this.#logs.want()
  }

  close(): void {
    this.#isClosed = true
    this.#logs.close()
    for (const stop of this.#stops) stop()
    this.#client.close()
  }

  get #path(): string {
    return `/sessions/${encodeURIComponent(this.#sessionId)}`
  }

  #follow(store: SessionStore): void {
    const { session, end, error, messages } = store.getState()
    const isFirst = this.#shown.session === undefined && session !== undefined
    const wasLive = this.#shown.session !== undefined && !hasEnded(this.#shown.session.status)
    const lanes = session === undefined ? this.#shown.lanes : advance(this.#shown.lanes, this.#counted, session)
    const hasGrown = !isFirst && this.#counted?.graphRevision !== session?.graphRevision
    this.#counted = session
    if (session !== undefined) this.#logs.reached(session.revision)
    const { all, hasEarlier, error: messagesError } = messages
    this.#show({ session, lanes, messages: all, hasEarlier, messagesError, error })
    if (isFirst || hasGrown) void this.#readGraph(session)
    // At the end once more: states between two that were shown are in the journal only.
    if (isFirst || (end !== undefined && wasLive)) void this.#readTimeline()
  }

  async #readGraph(session: WorkflowSession | undefined): Promise<void> {
    const graph = await this.#graphOf(session).catch(() => undefined)
    if (graph !== undefined) this.#show({ graph })
  }

  /** Without a graph, `undefined`: the nodes are then shown as they are named. */
  async #graphOf(session: WorkflowSession | undefined): Promise<GraphDefinition | undefined> {
    if (session?.graphRevision !== undefined) return ask<GraphDefinition>(this.#client, `${this.#path}/graph`)
    // A run without a graph is answered with 404 there, which browsers put into the console.
    const { events } = await ask<EventPage>(this.#client, `${this.#path}/events?after=0&limit=1`)
    const created = events[0]?.event
    return created?.type === 'created' ? created.graph : undefined
  }

  async #readTimeline(): Promise<void> {
    const page = (after: number | undefined) =>
      ask<Timeline>(this.#client, `${this.#path}/timeline${after === undefined ? '' : `?after=${after}`}`)
    const lanes = await readLanes(page).catch(() => undefined)
    if (lanes === undefined) return
    const session = this.#counted
    this.#show({ lanes: session === undefined ? lanes : advance(lanes, undefined, session) })
  }

  async #readMessages(session: WorkflowSession): Promise<void> {
    try {
      // Whatever has been said by then: its time is that of the state.
      const until = { createdAt: session.updatedAt } as Message
      const { messages, isEnd } = await readBefore(this.#client, this.#sessionId, until, [])
      this.#show({ messages: saidBy(messages, Date.parse(session.updatedAt)), hasEarlier: !isEnd })
    } catch (cause) {
      this.#show({ messagesError: asReliveError(cause) })
    }
  }

  #show(change: Partial<Shown>): void {
    if (this.#isClosed) return
    this.#shown = { ...this.#shown, ...change }
    this.#changed(this.#shown)
  }
}
