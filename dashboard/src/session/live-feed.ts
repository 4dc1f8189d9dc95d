import {
  type EventPage,
  type GraphDefinition,
  type Message,
  type MessagePage,
  ReliveError,
  type Subscription,
  type TokenFrame,
  type UsageReport,
  type WorkflowSession,
} from '@relive/types'

import { get, query } from '../api/http'
import { readInherited, readTimeline } from '../api/timeline'
import { client } from '../app/client'
import { withoutStreams, withStored, withTokens } from '../messages/message-book'
import { MessageReader } from '../messages/message-reader'
import { hasEnded } from '../status/status'
import { FrameStore } from '../store/frame-store'
import { advance, noLanes, withInherited } from '../timeline/lanes'
import { isNew } from './created-here'
import { initialState, type SessionState } from './state'

/** States per second at most: more than the eye can follow, and less than a busy run produces. */
const minIntervalMs = 33
/** The delay after a change of the totals before they are read again. */
const usageDelayMs = 1500
/** How long the first state is waited for before the socket is asked. */
const patienceMs = 5000

/** Keeps the state of one session up to date, across reconnects. */
export class LiveFeed {
  readonly store: FrameStore<SessionState>
  readonly messages: MessageReader
  readonly #id: string
  readonly #closing = new AbortController()
  readonly #stopListening: () => void
  readonly #stopFollowing: () => void
  #subscription: Subscription | undefined
  /** Chunks that arrived since the last frame: hundreds per second are added together. */
  #tokens: TokenFrame[] = []
  #messages: Message[] = []
  #usageTimer: number | undefined
  #wasLost = false
  /** The socket has sent a state, and sends all that follows. */
  #isSubscribed = false
  #inherited = noLanes

  constructor(id: string) {
    this.#id = id
    this.store = new FrameStore(initialState(id))
    this.messages = new MessageReader(this.store, async (asked) => {
      const page = await this.#ask(() =>
        get<MessagePage>(`/sessions/${id}/messages${query({ ...asked })}`, this.#closing.signal),
      )
      return page instanceof ReliveError ? undefined : page
    })
    this.#stopFollowing = this.store.subscribe(() => this.messages.follow())
    this.#stopListening = client.onConnectionChange(({ state }) => {
      if (state === 'waiting') this.#wasLost = true
      if (state !== 'open' || !this.#wasLost) return
      this.#wasLost = false
      this.store.update((now) => ({ ...now, book: withoutStreams(now.book) }))
      // The states during the outage are only in the journal.
      void this.#loadTimeline()
      this.messages.retry()
    })
    void this.#begin()
  }

  close(): void {
    this.#closing.abort()
    this.#stopListening()
    this.#stopFollowing()
    clearTimeout(this.#usageTimer)
    this.#subscription?.unsubscribe()
  }

  #subscribe(): void {
    this.#subscription = client.subscribe(
      this.#id,
      { mode: 'delta', messages: true, minIntervalMs },
      {
        onSession: (session) => this.#advance(session),
        onMessage: (message) => this.#collect(() => this.#messages.push(message)),
        onToken: (token) => this.#collect(() => this.#tokens.push(token)),
        onEnd: () => {
          void this.#loadTimeline()
          void this.#loadUsage()
        },
        onError: (error) => this.store.update({ error }),
      },
    )
  }

  #advance(session: WorkflowSession): void {
    const before = this.store.latest.live
    this.store.update((state) => ({
      ...state,
      live: session,
      lanes: advance(state.lanes, state.live, session),
    }))
    // Messages from this state on are sent; those before it are read.
    if (!this.#isSubscribed) {
      this.#isSubscribed = true
      this.messages.open()
      void this.#loadInherited(session)
      void this.#loadUsage()
    }
    // Nodes and edges were added to it.
    if (session.graphRevision !== undefined && session.graphRevision !== before?.graphRevision) void this.#reloadGraph()
    if (before?.totalTokens !== session.totalTokens || before?.totalCostUsd !== session.totalCostUsd)
      this.#usageTimer ??= window.setTimeout(() => void this.#loadUsage(), usageDelayMs)
  }

  /** Collects what arrives during one frame, and adds it at once. */
  #collect(add: () => void): void {
    const isFirst = this.#tokens.length === 0 && this.#messages.length === 0
    add()
    if (isFirst) requestAnimationFrame(() => this.#addCollected())
    // A hidden page draws no frames; the collected chunks must stay bounded.
    if (this.#tokens.length + this.#messages.length > 2000) this.#addCollected()
  }

  #addCollected(): void {
    const [tokens, messages] = [this.#tokens, this.#messages]
    this.#tokens = []
    this.#messages = []
    if (this.#closing.signal.aborted) return
    const now = new Date().toISOString()
    this.store.update((state) => ({ ...state, book: withStored(withTokens(state.book, tokens, now), messages) }))
    this.store.flush()
  }

  /**
   * The state is asked for by HTTP first: there it is compressed, and on a slow network the page stands seconds
   * before the socket's first frame of a large run would have arrived.
   */
  async #begin(): Promise<void> {
    void this.#loadTimeline()
    if (isNew(this.#id)) {
      this.#subscribe()
      await this.#loadGraph()
      return
    }
    const patience = new Promise<undefined>((resolve) => setTimeout(resolve, patienceMs))
    const path = `/sessions/${this.#id}`
    const first = get<WorkflowSession>(path, this.#closing.signal).catch(() => undefined)
    const session = await Promise.race([first, patience])
    if (this.#closing.signal.aborted) return
    if (session !== undefined)
      this.store.update((state) => ({ ...state, live: session, lanes: advance(state.lanes, undefined, session) }))
    // It reports what is wrong, if the state could not be had.
    this.#subscribe()
    await (session?.graphRevision === undefined ? this.#loadGraph() : this.#reloadGraph())
  }

  async #loadGraph(): Promise<void> {
    // The first event has the session's graph, or shows that there is none.
    const path = `/sessions/${this.#id}/events${query({ after: 0, limit: 1 })}`
    const page = await this.#ask(() => get<EventPage>(path, this.#closing.signal))
    // A missing session is reported by the subscription.
    if (page === undefined || page instanceof ReliveError) return
    // It has grown since, and was or will be read.
    if (this.store.latest.live?.graphRevision !== undefined) return
    const created = page.events[0]?.event
    this.store.update({ createdBy: page.events[0]?.by })
    this.store.update({ graph: (created?.type === 'created' ? created.graph : undefined) ?? null })
  }

  async #reloadGraph(): Promise<void> {
    const graph = await this.#ask(() => get<GraphDefinition>(`/sessions/${this.#id}/graph`, this.#closing.signal))
    if (graph !== undefined && !(graph instanceof ReliveError)) this.store.update({ graph })
  }

  async #loadTimeline(): Promise<void> {
    const own = await this.#ask(() => readTimeline(this.#id, this.#closing.signal))
    if (own === undefined || own instanceof ReliveError) return
    const lanes = withInherited(own, this.#inherited)
    this.store.update((state) => {
      // Changes since the answer was made are in the state that is held.
      const { live } = state
      return { ...state, lanes: live === undefined ? lanes : advance(lanes, undefined, live) }
    })
  }

  /** What a fork has of its parents never changes. */
  async #loadInherited(session: WorkflowSession): Promise<void> {
    if (session.parentId === undefined) return
    const inherited = await this.#ask(() => readInherited(session, this.#closing.signal))
    if (inherited === undefined || inherited instanceof ReliveError) return
    this.#inherited = inherited
    this.store.update((state) => ({ ...state, lanes: withInherited(state.lanes, inherited) }))
  }

  async #loadUsage(): Promise<void> {
    clearTimeout(this.#usageTimer)
    this.#usageTimer = undefined
    const usage = await this.#ask(() => get<UsageReport>(`/sessions/${this.#id}/usage`, this.#closing.signal))
    if (usage !== undefined && !(usage instanceof ReliveError)) this.store.update({ usage })
  }

  /** An answer, or its error; `undefined` if it was cancelled. */
  async #ask<Answer>(ask: () => Promise<Answer>): Promise<Answer | ReliveError | undefined> {
    for (let attempt = 0; ; attempt += 1) {
      try {
        return await ask()
      } catch (error) {
        if (this.#closing.signal.aborted) return undefined
        if (!(error instanceof ReliveError)) throw error
        const session = this.store.latest.live
        if (!error.retryable || attempt >= 8 || (session !== undefined && hasEnded(session.status) && attempt >= 3))
          return error
        await new Promise((resolve) => setTimeout(resolve, 250 * 2 ** attempt))
      }
    }
  }
}
