import { runSpan, type SessionState } from '../session/state'
import { hasEnded } from '../status/status'

/** The time range that the timeline and the scrubber show, in milliseconds since 1970. */
export interface Domain {
  readonly start: number
  readonly end: number
}

const growth = 1.25
const leastMs = 4000

/**
 * The whole run. While it runs, the end is in the future and moves in steps, so that drawn items keep their
 * places within a step.
 */
export function domainOf(state: SessionState, now: number): Domain {
  const { start, end } = runSpan(state.live, now)
  if (state.live !== undefined && hasEnded(state.live.status)) return { start, end: Math.max(end, start + 1) }
  let length = leastMs
  while (length < end - start) length *= growth
  return { start, end: start + length }
}

/** The position of a time within the domain, 0 to 1. */
export function fraction({ start, end }: Domain, time: number): number {
  return Math.min(1, Math.max(0, (time - start) / (end - start)))
}

const steps = [
  100, 200, 500, 1000, 2000, 5000, 10_000, 15_000, 30_000, 60_000, 120_000, 300_000, 600_000, 900_000, 1_800_000,
  3_600_000, 7_200_000, 10_800_000, 21_600_000, 43_200_000, 86_400_000, 172_800_000, 604_800_000, 2_592_000_000,
]

/** Round offsets from the start, at most `most` of them. */
export function axisTicks({ start, end }: Domain, most: number): readonly number[] {
  const length = end - start
  const step = steps.find((each) => length / each <= most) ?? length / most
  const ticks: number[] = []
  for (let at = 0; at <= length && ticks.length <= most; at += step) ticks.push(at)
  return ticks
}

/** The text of an offset on the axis: `0 s`, `20 s`, `1:30`, `2 h`, `3 d`. */
export function axisLabel(offset: number): string {
  if (offset < 60_000) return `${Number((offset / 1000).toFixed(1))} s`
  if (offset < 3_600_000)
    return `${Math.floor(offset / 60_000)}:${String(Math.floor((offset % 60_000) / 1000)).padStart(2, '0')}`
  if (offset < 86_400_000) return `${Number((offset / 3_600_000).toFixed(1))} h`
  return `${Number((offset / 86_400_000).toFixed(1))} d`
}
