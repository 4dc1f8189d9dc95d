import { kept } from '../app/kept'
import { knownNow } from '../app/known-now'
import { runSpan, type SessionState } from '../session/state'
import { hasEnded } from '../status/status'
import type { FrameStore } from '../store/frame-store'
import { type Axis, type AxisOptions, axisOf } from './axis'
import type { BarName } from './bar-steps'
import { carried, type Span, showing, wholeOf } from './span'

/** How this browser draws timelines. */
export const axisOptions = kept<AxisOptions>('relive.axis', (stored) => {
  const { by, shortensIdle } = (typeof stored === 'object' && stored !== null ? stored : {}) as Partial<AxisOptions>
  return { by: by === 'event' ? 'event' : 'time', shortensIdle: shortensIdle !== false }
})

/** A changed run is laid out at most this often, and takes at most a tenth of the time for it. */
const everyMs = 120
const shareOfTime = 0.1

/** A bar that is described beside where it is, in pixels of the window. */
export interface Pointed {
  readonly bar: BarName
  readonly x: number
  readonly y: number
  /** By the keys; then it is read out as well. */
  readonly byKeys: boolean
}

/** What the timeline and the scrubber of one session share: the axis, and the part of it that is in view. */
export class TimelineView {
  readonly #store: FrameStore<SessionState>
  readonly #listeners = new Set<() => void>()
  #axis: Axis | undefined
  #madeOf: { lanes: SessionState['lanes']; options: AxisOptions; start: number; end: number | undefined } | undefined
  #dueAt = 0
  #span: Span | undefined
  #folded: ReadonlySet<string> = new Set()
  #pointed: Pointed | undefined

  constructor(store: FrameStore<SessionState>) {
    this.#store = store
  }

  /** The same object until something has changed. */
  axis(): Axis {
    const { lanes, live } = this.#store.shown()
    if (live === undefined && this.#axis !== undefined) return this.#axis
    const now = knownNow()
    const run = runSpan(live, now)
    const end = live !== undefined && hasEnded(live.status) ? run.end : undefined
    const options = axisOptions.value()
    const [held, of] = [this.#axis, this.#madeOf]
    if (held !== undefined && of !== undefined && of.options === options && of.start === run.start && of.end === end) {
      if (of.lanes === lanes && now <= held.validUntil) return held
      if (performance.now() < this.#dueAt) return held
    }
    const began = performance.now()
    const next = axisOf({ start: run.start, now: Math.max(now, run.start), end, lanes }, options)
    const done = performance.now()
    this.#dueAt = done + Math.max(everyMs, (done - began) / shareOfTime)
    this.#axis = next
    this.#madeOf = { lanes, options, start: run.start, end }
    if (held !== undefined && this.#span !== undefined) this.#span = carried(this.#span, held, next)
    return next
  }

  /** What is in view; `undefined`: all of it. */
  get zoom(): Span | undefined {
    return this.#span
  }

  span(): Span {
    return this.#span ?? wholeOf(this.axis())
  }

  show(span: Span | undefined): void {
    this.#span = span
    this.#tell()
  }

  /** Moves so that a position comes into view. */
  reveal(at: number): void {
    const span = this.#span
    if (span !== undefined && (at < span.from || at > span.to)) this.show(showing(this.axis(), span, at))
  }

  get folded(): ReadonlySet<string> {
    return this.#folded
  }

  fold(folded: ReadonlySet<string>): void {
    this.#folded = folded
    this.#tell()
  }

  get pointed(): Pointed | undefined {
    return this.#pointed
  }

  point(pointed: Pointed | undefined): void {
    if (pointed === this.#pointed) return
    this.#pointed = pointed
    this.#tell()
  }

  readonly subscribe = (listener: () => void): (() => void) => {
    this.#listeners.add(listener)
    return () => this.#listeners.delete(listener)
  }

  #tell(): void {
    for (const listener of [...this.#listeners]) listener()
  }
}

const views = new WeakMap<FrameStore<SessionState>, TimelineView>()

export function viewOf(store: FrameStore<SessionState>): TimelineView {
  const known = views.get(store)
  if (known !== undefined) return known
  const view = new TimelineView(store)
  views.set(store, view)
  return view
}
