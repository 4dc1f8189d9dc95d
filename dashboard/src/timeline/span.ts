import { type Axis, placeOf, timeAt } from './axis'

/** A part of an axis, in its units. */
export interface Span {
  readonly from: number
  readonly to: number
}

/** Closer than this, in units, nothing is told apart: milliseconds, or changes. */
const closest = { time: 20, event: 4 }

export function wholeOf({ length }: Axis): Span {
  return { from: 0, to: length }
}

/** `undefined`: the whole axis, as it grows. */
function within(axis: Axis, from: number, length: number): Span | undefined {
  if (length >= axis.length * 0.9999) return undefined
  const begin = Math.min(Math.max(0, from), axis.length - length)
  return { from: begin, to: begin + length }
}

/** `factor` times as close; what is at `at` stays where it is. */
export function zoomed(axis: Axis, { from, to }: Span, factor: number, at: number): Span | undefined {
  const length = Math.max(Math.min(closest[axis.by], axis.length), (to - from) / factor)
  return within(axis, at - (at - from) * (length / (to - from)), length)
}

export function moved(axis: Axis, { from, to }: Span, by: number): Span | undefined {
  return within(axis, from + by, to - from)
}

/** The same length, moved so that `at` is in it: a quarter from its beginning, unless it is in view already. */
export function showing(axis: Axis, span: Span, at: number): Span | undefined {
  if (at >= span.from && at <= span.to) return within(axis, span.from, span.to - span.from)
  return moved(axis, span, at - (span.from + (span.to - span.from) / 4))
}

/** From one position to another, with a margin beside them. */
export function around(axis: Axis, from: number, to: number): Span | undefined {
  const length = Math.max(closest[axis.by], (to - from) * 1.2)
  return within(axis, (from + to) / 2 - length / 2, length)
}

/** The same part on an axis that is made otherwise. */
export function carried(span: Span, before: Axis, after: Axis): Span | undefined {
  if (before.by === after.by && before.shortensIdle === after.shortensIdle)
    return within(after, span.from, span.to - span.from)
  const [from, to] = [placeOf(after, timeAt(before, span.from)), placeOf(after, timeAt(before, span.to))]
  return within(after, from, Math.max(closest[after.by], to - from))
}

/** The position within a span as a part of it; below 0 and above 1 beside it. */
export function shareIn({ from, to }: Span, at: number): number {
  return (at - from) / (to - from)
}
