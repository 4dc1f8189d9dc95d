import type { Lanes } from './lanes'

/** A stretch in which no node ran and nothing changed; milliseconds since 1970. */
export interface Gap {
  readonly from: number
  readonly to: number
}

/** A shorter one is not worth a mark. */
const leastMs = 1000
/** Nor is one that is a smaller part of what remains once longer ones are shortened. */
const leastShare = 0.03
/** If all of them together are less of the run, it is drawn as it was. */
const leastOfRun = 0.2
export const gapsAtMost = 48

/** The stretches between `start` and `end` in which no node ran, in order. Whoever waits for an answer does not run. */
export function idleStretches(lanes: Lanes, start: number, end: number): readonly Gap[] {
  let count = 0
  for (const { bars } of lanes.values()) count += 2 * bars.length
  if (count === 0) return []
  const [begins, ends] = [new Float64Array(count), new Float64Array(count)]
  let used = 0
  const busy = (from: number, to: number) => {
    begins[used] = from
    // By the clock of a client, an end may be before its beginning.
    ends[used] = Math.max(from, to)
    used += 1
  }
  for (const { bars } of lanes.values()) {
    for (const { from, to = end, during } of bars) {
      if (during === 'running') {
        busy(from, to)
      } else {
        // That a wait began or ended is something that happened.
        busy(from, from)
        busy(to, to)
      }
    }
  }
  return between(begins.subarray(0, used).sort(), ends.subarray(0, used).sort(), start, end)
}

function between(begins: Float64Array, ends: Float64Array, start: number, end: number): readonly Gap[] {
  const gaps: Gap[] = []
  let [running, idleSince, ended] = [0, start, 0]
  const idleUntil = (to: number) => {
    if (to - idleSince >= leastMs) gaps.push({ from: idleSince, to: Math.min(to, end) })
  }
  for (const begin of begins) {
    for (let to = ends[ended] ?? begin; to < begin; to = ends[ended] ?? begin) {
      running -= 1
      ended += 1
      idleSince = Math.max(idleSince, to)
    }
    if (running === 0) idleUntil(begin)
    running += 1
  }
  idleSince = Math.max(idleSince, ends.at(-1) ?? start)
  idleUntil(end)
  return gaps
}

/** The longest of them, in order, as long as each is long compared with what remains of `length` without them. */
export function worthShortening(gaps: readonly Gap[], length: number): readonly Gap[] {
  const longest = [...gaps].sort((a, b) => b.to - b.from - (a.to - a.from))
  const chosen: Gap[] = []
  let remaining = length
  for (const gap of longest) {
    const lasted = gap.to - gap.from
    if (lasted < leastMs || lasted < leastShare * remaining || chosen.length === gapsAtMost) break
    chosen.push(gap)
    remaining -= lasted
  }
  if (length - remaining < leastOfRun * length) return []
  return chosen.sort((a, b) => a.from - b.from)
}
