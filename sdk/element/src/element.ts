import type { ReliveError, WorkflowSession } from '@relive/types'
import { duration } from '../../../dashboard/src/format/time'
import { hasEnded, look } from '../../../dashboard/src/status/status'
import { type Address, parseAddress, parseMoment } from './address'
import { html, plainName, setText } from './dom'
import { Feed, nothing, type Shown } from './feed'
import { GraphView } from './graph-view'
import { LogsView } from './logs-view'
import { MessagesView } from './messages-view'
import { styleSheet } from './style'
import { TimelineView } from './timeline-view'
import { TokenHolder, type TokenRequest } from './token'

/** How often what grows with time is drawn while a run goes on. */
const tickMs = 1_000

// The module can also be loaded where there is no document, as on a server.
const Base = typeof HTMLElement === 'undefined' ? (class {} as unknown as typeof HTMLElement) : HTMLElement

/**
 * `<relive-session src token moment>`: a run on any page.
 *
 * - `src`: the address of the session in a browser, such as `https://relive.example.org/sessions/ID`; a share link too.
 * - `token`: an access token, such as a guest's. Also a property.
 * - `moment`: a revision or a time, to show the run as it was then. Without it the run is shown live.
 *
 * Events: `relive-token` when a (new) token is needed, `relive-change` with each new state, `relive-error` when nothing
 * more comes. They bubble.
 */
export class ReliveSession extends Base {
  static readonly observedAttributes = ['src', 'token', 'moment']

  readonly #name = html('b')
  readonly #status = html('span', { class: 'status', role: 'status' })
  readonly #facts = html('span', { class: 'facts' })
  readonly #problem = html('p', { class: 'problem', part: 'problem', role: 'alert', hidden: '' })
  readonly #graph = new GraphView()
  readonly #timeline = new TimelineView()
  readonly #messages = new MessagesView(() => this.#feed?.readEarlier())
  readonly #logs = new LogsView(() => {
    this.#feed?.readLogs()
    this.#drawLogs()
  })
  readonly #page: HTMLElement
  #feed: Feed | undefined
  #tokens: TokenHolder | undefined
  /** What is shown was asked for without a token. */
  #isAnonymous = false
  /** What the feed was made for. */
  #key: string | undefined
  #shown: Shown = nothing
  #isDue = false
  #timer: ReturnType<typeof setInterval> | undefined

  constructor() {
    super()
    const bar = html('div', { class: 'bar', part: 'bar' }, this.#name, this.#status, this.#facts)
    const { element: graph } = this.#graph
    const side = html('div', { class: 'side' }, this.#messages.element, this.#logs.element)
    this.#page = html('div', { class: 'page', hidden: '' }, bar, graph, this.#timeline.element, side)
    const root = this.attachShadow({ mode: 'open' })
    root.adoptedStyleSheets = [styleSheet()]
    root.append(this.#problem, this.#page)
  }

  get src(): string {
    return this.getAttribute('src') ?? ''
  }

  set src(value: string) {
    this.setAttribute('src', value)
  }

  /** Set, it is not written to the attribute, where other scripts and styles could read it. */
  get token(): string | undefined {
    return this.#token ?? this.getAttribute('token') ?? undefined
  }

  set token(value: string | undefined) {
    this.#token = value === '' ? undefined : value
    this.#tokenChanged()
  }
  #token: string | undefined

  get moment(): string | undefined {
    return this.getAttribute('moment') ?? undefined
  }

  set moment(value: string | number | undefined) {
    if (value === undefined) this.removeAttribute('moment')
    else this.setAttribute('moment', String(value))
  }

  /** The state that is shown. Frozen. */
  get session(): WorkflowSession | undefined {
    return this.#shown.session
  }

  get error(): ReliveError | undefined {
    return this.#shown.error
  }

  connectedCallback(): void {
    // Set before the element was defined, a property hides those of the class.
    for (const name of ['src', 'token', 'moment'] as const) {
      if (!Object.hasOwn(this, name)) continue
      const value = this[name]
      delete (this as Record<string, unknown>)[name]
      ;(this as Record<string, unknown>)[name] = value
    }
    this.#plan()
  }

  disconnectedCallback(): void {
    // Moved within the page, it is connected again at once.
    this.#plan()
  }

  attributeChangedCallback(name: string): void {
    if (name === 'token') this.#tokenChanged()
    else this.#plan()
  }

  /** Several changes at a time are one. */
  #plan(): void {
    if (this.#isDue) return
    this.#isDue = true
    queueMicrotask(() => {
      this.#isDue = false
      this.#apply()
    })
  }

  #tokenChanged(): void {
    this.#tokens?.set(this.token)
    // What was refused, or would be, may be allowed with the new one.
    if (this.isConnected && (this.#shown.error !== undefined || this.#isAnonymous)) {
      this.#key = undefined
      this.#plan()
    }
  }

  #apply(): void {
    const key = this.isConnected ? JSON.stringify([this.src, this.moment]) : undefined
    if (key === this.#key && (key !== undefined || this.#feed === undefined)) return
    this.#key = key
    this.#feed?.close()
    this.#feed = undefined
    this.#isAnonymous = false
    clearInterval(this.#timer)
    if (key === undefined) return
    this.#draw(nothing)
    const address = parseAddress(this.src, document.baseURI)
    const moment = this.moment === undefined ? undefined : parseMoment(this.moment)
    if (this.src === '') return
    if (address === undefined)
      this.#tell('`src` is not the address of a session, such as https://relive.example.org/sessions/ID')
    else if (this.moment !== undefined && moment === undefined) this.#tell('`moment` is neither a revision nor a time')
    else void this.#begin(address, moment)
  }

  async #begin(address: Address, moment: ReturnType<typeof parseMoment>): Promise<void> {
    const key = this.#key
    const tokens = new TokenHolder(this.token ?? address.token, (request) => this.#requestToken(request))
    this.#tokens = tokens
    const hasToken = await tokens.begin().catch(() => false)
    // Meanwhile something else may be asked for.
    if (this.#key !== key || this.#tokens !== tokens) return
    const feed = new Feed(address, hasToken ? tokens.next : undefined, (shown) => {
      if (this.#feed === feed) this.#draw(shown)
    })
    this.#feed = feed
    this.#isAnonymous = !hasToken
    if (this.#logs.element.open) feed.readLogs()
    if (moment === undefined) feed.live()
    else void feed.at(moment)
    this.#timer = setInterval(() => this.#tick(), tickMs)
  }

  #requestToken(request: TokenRequest): void {
    this.dispatchEvent(
      new CustomEvent<TokenRequest>('relive-token', { bubbles: true, composed: true, detail: request }),
    )
  }

  #draw(shown: Shown): void {
    const before = this.#shown
    this.#shown = shown
    const { session, error } = shown
    this.#page.hidden = session === undefined
    if (error === undefined) this.#problem.hidden = true
    else
      this.#tell(
        `This run ${session === undefined ? 'cannot be shown' : 'is no longer kept up to date'}: ${error.message}`,
      )
    if (session !== undefined) {
      if (before.session !== session || before.isLost !== shown.isLost || before.graph !== shown.graph)
        this.#drawBar(session, shown.isLost)
      this.#graph.show(shown.graph, session)
      this.#drawTimes(session)
      const { messages, hasEarlier, messagesError } = shown
      this.#messages.show(messages, session, hasEarlier, messagesError?.message)
      if (before.session === undefined || before.logs !== shown.logs || before.logsError !== shown.logsError)
        this.#drawLogs()
    }
    if (session !== undefined && before.session !== session) this.#say('relive-change', session)
    if (error !== undefined && before.error !== error) this.#say('relive-error', error)
  }

  #drawBar(session: WorkflowSession, isLost: boolean): void {
    // Called as in lists: by itself, or by the graph that it runs.
    const name = plainName(session.name || this.#shown.graph?.name || '')
    setText(this.#name, name || `Run ${session.id.slice(0, 8)}`)
    setText(this.#status, isLost ? `${session.status}, reconnecting…` : session.status)
    this.#status.className = `status ${look(session.status)}`
  }

  #drawLogs(): void {
    const { session, logs, logsError } = this.#shown
    if (session !== undefined && this.#logs.element.open) this.#logs.show(logs, session, logsError?.message)
  }

  #drawTimes(session: WorkflowSession): void {
    const now = this.#momentOf(session)
    this.#timeline.show(this.#shown.lanes, session, now, this.#shown.graph)
    const from = session.startedAt === undefined ? undefined : Date.parse(session.startedAt)
    const tokens = session.totalTokens > 0 ? `${session.totalTokens.toLocaleString('en')} tokens` : ''
    const cost = session.totalCostUsd > 0 ? `$${session.totalCostUsd.toFixed(4)}` : ''
    setText(this.#facts, [from === undefined ? '' : duration(now - from), tokens, cost].filter(Boolean).join(' · '))
  }

  /** The moment that is shown, in milliseconds since 1970. */
  #momentOf(session: WorkflowSession): number {
    if (this.moment === undefined && !hasEnded(session.status))
      return Math.max(Date.now(), Date.parse(session.updatedAt))
    return Date.parse(session.updatedAt)
  }

  #tick(): void {
    const { session } = this.#shown
    const isRunning = this.moment === undefined && session !== undefined && !hasEnded(session.status)
    if (isRunning && document.visibilityState === 'visible') this.#drawTimes(session)
  }

  #tell(problem: string): void {
    this.#problem.hidden = false
    setText(this.#problem, problem)
  }

  #say(name: string, detail: unknown): void {
    this.dispatchEvent(new CustomEvent(name, { bubbles: true, composed: true, detail }))
  }
}
