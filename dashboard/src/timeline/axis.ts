import { type Gap, idleStretches, worthShortening } from './gaps'
import type { Lanes } from './lanes'

/** `event`: each change of a node is as far from the next, however much time passed. */
export type AxisBy = 'time' | 'event'

export interface AxisOptions {
  readonly by: AxisBy
  /** Idle stretches are drawn shorter than they were. Only where the axis is by time. */
  readonly shortensIdle: boolean
}

/**
 * How times become positions, for the timeline and the scrubber alike: straight between knots. Positions are in units
 * of the axis from its beginning on: milliseconds, or changes. Times are milliseconds since 1970.
 */
export interface Axis extends AxisOptions {
  readonly start: number
  /** In units. */
  readonly length: number
  /** Ascending, and as many as `units`. By event, several may be the same. */
  readonly times: Float64Array
  /** Strictly ascending. */
  readonly units: Float64Array
  /** By event: the revision of each change, 0 where it is not known. */
  readonly revisions: Float64Array | undefined
  /** What is drawn shorter than it was. */
  readonly gaps: readonly Gap[]
  /** It has to be made anew after this time, even if nothing happens. */
  readonly validUntil: number
}

/** What an axis is made of. */
export interface AxisSource {
  readonly start: number
  readonly now: number
  /** Of a run that has ended. */
  readonly end: number | undefined
  readonly lanes: Lanes
}

const growth = 1.25
const leastMs = 4000
const leastWaitMs = 1000
const leastEvents = 8
/** Revisions within one millisecond are told apart up to this number; a key has to be a whole number in a double. */
const revisionsAtMost = 2 ** 20

/** The length in steps of a quarter: what is drawn keeps its place within a step. */
function grown(length: number, least: number): number {
  let step = least
  while (step < length) step *= growth
  return step
}

/** The whole run. While it runs, the end is in the future and moves in steps. */
export function axisOf(source: AxisSource, options: AxisOptions): Axis {
  const whole = { ...source, ...reach(source) }
  return options.by === 'event' ? byEvent(whole, options) : byTime(whole, options)
}

/** By the clock of a client nodes may have run before the session was recorded, as those of a trace do, or after. */
function reach({ start, end, lanes }: AxisSource): Pick<AxisSource, 'start' | 'end'> {
  let [first, last] = [start, end]
  for (const { bars } of lanes.values()) {
    const [earliest, latest] = [bars[0], bars.at(-1)]
    if (earliest !== undefined && earliest.from < first) first = earliest.from
    if (last !== undefined && latest?.to !== undefined && latest.to > last) last = latest.to
  }
  return { start: first, end: last }
}

function byTime({ start, now, end, lanes }: AxisSource, options: AxisOptions): Axis {
  const until = Math.max(end ?? now, start)
  const idle = options.shortensIdle ? idleStretches(lanes, start, until) : []
  const last = idle.at(-1)
  // A wait that goes on takes a place that it fills bit by bit, so that the axis stands still.
  const open = end === undefined && last !== undefined && last.to >= until ? last : undefined
  const openEnd = open === undefined ? until : open.from + grown(until - open.from, leastWaitMs)
  const all = open === undefined ? idle : [...idle.slice(0, -1), { from: open.from, to: openEnd }]
  const gaps = worthShortening(all, openEnd - start)
  const kept = gaps.reduce((sum, { from, to }) => sum - (to - from), openEnd - start)
  const short = grown(kept, leastWaitMs) * Math.min(0.03, 0.5 / Math.max(1, gaps.length))
  const [times, units] = [[start], [0]]
  let [time, unit] = [start, 0]
  const knot = (at: number, further: number) => {
    if (at <= time) return
    time = at
    unit += further
    times.push(time)
    units.push(unit)
  }
  for (const { from, to } of gaps) {
    knot(from, from - time)
    knot(to, Math.min(short, (to - from) / 2))
  }
  if (end === undefined) {
    // While all that goes on is a wait, there is no work that the room ahead would have to be as long as.
    const least = open === undefined ? leastMs : Math.max(1, short)
    const length = Math.max(unit, grown(unit + Math.max(0, until - time), least))
    knot(time + length - unit, length - unit)
  } else {
    knot(Math.max(until, start + 1), Math.max(until, start + 1) - time)
  }
  // Nothing that happens says so when a wait has become long enough to be shortened.
  const mayBegin = options.shortensIdle && !isRunning(lanes) ? until + leastWaitMs : Number.POSITIVE_INFINITY
  const mayChange = open === undefined ? mayBegin : openEnd
  return {
    ...options,
    start,
    length: unit,
    times: Float64Array.from(times),
    units: Float64Array.from(units),
    revisions: undefined,
    gaps,
    validUntil: end !== undefined ? Number.POSITIVE_INFINITY : Math.min(time, mayChange),
  }
}

function isRunning(lanes: Lanes): boolean {
  for (const { bars } of lanes.values()) {
    const last = bars.at(-1)
    if (last !== undefined && last.to === undefined && last.during === 'running') return true
  }
  return false
}

function byEvent({ start, now, end, lanes }: AxisSource, options: AxisOptions): Axis {
  const keys = changeKeys(lanes, start)
  const times = Array.from(keys, (key) => start + Math.floor(key / revisionsAtMost))
  const revisions = Array.from(keys, (key) => key % revisionsAtMost)
  const last = times.at(-1) ?? start
  const add = (time: number) => {
    times.push(time)
    revisions.push(0)
  }
  let openEnd = Number.POSITIVE_INFINITY
  const units: number[] = times.map((_, index) => index)
  if (end !== undefined) {
    if (end > last || times.length === 1) add(Math.max(end, last + 1))
    units.push(...range(units.length, times.length))
  } else {
    openEnd = last + grown(now - last, leastWaitMs)
    add(openEnd)
    units.push(units.length)
    const length = Math.max(units.length, Math.ceil(grown(units.length, leastEvents)))
    add(openEnd + (length - units.length + 1) * (openEnd - last))
    units.push(length)
  }
  return {
    ...options,
    start,
    length: units.at(-1) ?? 1,
    times: Float64Array.from(times),
    units: Float64Array.from(units),
    revisions: Float64Array.from(revisions),
    gaps: [],
    validUntil: openEnd,
  }
}

function range(from: number, to: number): number[] {
  return Array.from({ length: Math.max(0, to - from) }, (_, index) => from + index)
}

/** When each node began and ended, in order, without repetition: time and revision in one number, which sorts fast. */
function changeKeys(lanes: Lanes, start: number): Float64Array {
  let count = 1
  for (const { bars } of lanes.values()) count += 2 * bars.length
  const keys = new Float64Array(count)
  let used = 1
  for (const { bars } of lanes.values()) {
    for (const { from, to, revision, endRevision } of bars) {
      keys[used++] = keyOf(from - start, revision)
      if (to !== undefined) keys[used++] = keyOf(to - start, endRevision)
    }
  }
  const sorted = keys.subarray(0, used).sort()
  let kept = 0
  for (let at = 1; at < used; at += 1) if (sorted[at] !== sorted[kept]) sorted[++kept] = sorted[at] ?? 0
  return sorted.subarray(0, kept + 1)
}

function keyOf(offset: number, revision = 0): number {
  return Math.max(0, Math.floor(offset)) * revisionsAtMost + Math.min(revision, revisionsAtMost - 1)
}

/** The last index whose value is not above; -1 if there is none. */
function lastUpTo(count: number, isUpTo: (index: number) => boolean): number {
  let [low, high] = [0, count]
  while (low < high) {
    const middle = (low + high) >> 1
    if (isUpTo(middle)) low = middle + 1
    else high = middle
  }
  return low - 1
}

/** The position of a time, in units. Of several changes at that time, `revision` says which is meant. */
export function placeOf(axis: Axis, time: number, revision?: number): number {
  const { times, units, revisions, length } = axis
  const at = Math.max(time, axis.start)
  const index =
    revisions === undefined || revision === undefined
      ? lastUpTo(times.length, (each) => (times[each] ?? 0) <= at)
      : lastUpTo(times.length, (each) => {
          const known = times[each] ?? 0
          return (
            known < Math.floor(at) || (known <= at && (revisions[each] ?? 0) <= Math.min(revision, revisionsAtMost - 1))
          )
        })
  if (index < 0) return 0
  const [before, after] = [times[index] ?? 0, times[index + 1]]
  const [from, to] = [units[index] ?? 0, units[index + 1] ?? length]
  if (after === undefined) return length
  return after <= before || at <= before ? from : from + ((at - before) / (after - before)) * (to - from)
}

/** The time at a position. */
export function timeAt({ times, units, start }: Axis, at: number): number {
  const index = lastUpTo(units.length, (each) => (units[each] ?? 0) <= at)
  if (index < 0) return start
  const [before, after] = [times[index] ?? start, times[index + 1]]
  const [from, to] = [units[index] ?? 0, units[index + 1]]
  if (after === undefined || to === undefined) return before
  return before + ((at - from) / (to - from)) * (after - before)
}

/** By event: the revision of the change that is nearest to a position. */
export function revisionAt({ units, revisions }: Axis, at: number): number | undefined {
  if (revisions === undefined) return undefined
  const revision = revisions[lastUpTo(units.length, (each) => (units[each] ?? 0) <= at + 0.5)] ?? 0
  return revision > 0 ? revision : undefined
}

/** The position of a time as a part of the whole, 0 to 1. */
export function shareOf(axis: Axis, time: number, revision?: number): number {
  return placeOf(axis, time, revision) / axis.length
}
