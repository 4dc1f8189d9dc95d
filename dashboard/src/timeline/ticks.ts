import { type Axis, placeOf, timeAt } from './axis'
import type { Span } from './span'

export interface Tick {
  /** In units of the axis. */
  readonly at: number
  /** Empty where only a line is drawn. */
  readonly label: string
}

const [second, minute, hour, day] = [1000, 60_000, 3_600_000, 86_400_000]
const steps = [
  ...[1, 2, 5, 10, 20, 50, 100, 200, 500, second, 2 * second, 5 * second, 10 * second, 15 * second, 30 * second],
  ...[minute, 2 * minute, 5 * minute, 10 * minute, 15 * minute, 30 * minute],
  ...[hour, 2 * hour, 3 * hour, 6 * hour, 12 * hour, day, 2 * day, 7 * day, 30 * day],
]
/** However the axis is, no more are drawn. */
const ticksAtMost = 400

/** The ticks in view, at least `apart` of the axis' units from each other where nothing is shortened. */
export function ticksIn(axis: Axis, span: Span, apart: number): readonly Tick[] {
  return axis.by === 'event' ? eventTicks(axis, span, apart) : timeTicks(axis, span, apart)
}

function timeTicks(axis: Axis, { from, to }: Span, apart: number): readonly Tick[] {
  const step = steps.find((each) => each >= apart) ?? Math.ceil(apart / day) * day
  const ticks: Tick[] = []
  const [first, last] = [timeAt(axis, from) - axis.start, timeAt(axis, to) - axis.start]
  let gap = 0
  for (let at = Math.ceil(first / step) * step; at <= last && ticks.length < ticksAtMost; at += step) {
    const time = axis.start + at
    while ((axis.gaps[gap]?.to ?? Number.POSITIVE_INFINITY) <= time) gap += 1
    const within = axis.gaps[gap]
    if (within !== undefined && time > within.from) {
      // Days of waiting have no ticks, and are not counted through.
      at = (Math.ceil((within.to - axis.start) / step) - 1) * step
      continue
    }
    ticks.push({ at: placeOf(axis, time), label: axisLabel(at, step) })
  }
  return ticks
}

function eventTicks(axis: Axis, { from, to }: Span, apart: number): readonly Tick[] {
  const power = 10 ** Math.max(0, Math.floor(Math.log10(apart)))
  const step = [1, 2, 5, 10].map((each) => each * power).find((each) => each >= apart) ?? 10 * power
  const ticks: Tick[] = []
  for (let at = Math.ceil(from / step) * step; at <= to && ticks.length < ticksAtMost; at += step) {
    const revision = axis.revisions?.[at] ?? 0
    ticks.push({ at, label: revision > 0 ? `#${revision}` : '' })
  }
  return ticks
}

const two = (value: number) => String(Math.floor(value)).padStart(2, '0')

/** The text of an offset on an axis with that step: `0 s`, `0.25 s`, `1:30`, `2:05:00`, `2 h`, `3 d 4 h`. */
export function axisLabel(offset: number, step: number): string {
  const decimals = step >= second ? 0 : step >= 100 ? 1 : step >= 10 ? 2 : 3
  const seconds = (offset % minute) / second
  const fine = decimals === 0 ? two(seconds) : seconds.toFixed(decimals).padStart(3 + decimals, '0')
  if (offset < minute) return `${Number((offset / second).toFixed(decimals || 1))} s`
  if (offset < hour) return `${Math.floor(offset / minute)}:${fine}`
  const days = Math.floor(offset / day)
  const rest = offset - days * day
  if (step >= hour) {
    const hours = Math.floor(rest / hour)
    return [days > 0 ? `${days} d` : '', hours > 0 || days === 0 ? `${hours} h` : ''].filter(Boolean).join(' ')
  }
  const clock = `${two((rest % hour) / minute)}:${fine}`
  return `${days > 0 ? `${days} d ${two(rest / hour)}` : Math.floor(rest / hour)}:${clock}`
}
