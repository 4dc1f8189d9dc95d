import { expect, test } from 'vitest'

import { type Axis, axisOf, placeOf, revisionAt, shareOf, timeAt } from './axis'
import type { Lanes } from './lanes'
import { barOf, lanesOf } from './test-bars'

const [second, hour] = [1000, 3_600_000]
const byTime = { by: 'time', shortensIdle: false } as const
const shortened = { by: 'time', shortensIdle: true } as const
const byEvent = { by: 'event', shortensIdle: false } as const

const wait = { during: 'suspended', status: 'suspended' } as const
/** Ten seconds of work, eight hours of waiting, ten seconds of work. */
const reviewed = lanesOf({
  draft: [barOf(0, 10 * second, { revision: 2, endRevision: 3 })],
  review: [barOf(10 * second, 8 * hour, { ...wait, revision: 4, endRevision: 5 })],
  send: [barOf(8 * hour, 8 * hour + 10 * second, { revision: 6, endRevision: 7 })],
})
const ended = (lanes: Lanes) => ({ start: 0, now: 9 * hour, end: 8 * hour + 10 * second, lanes })

/** Positions and times lead to each other, and both only ascend. */
function expectToBeOneToOne(axis: Axis, end: number): void {
  let before = -1
  for (let step = 0; step <= 500; step += 1) {
    const time = axis.start + (step / 500) * (end - axis.start)
    const at = placeOf(axis, time)
    expect(at).toBeGreaterThan(before)
    expect(timeAt(axis, at)).toBeCloseTo(time, 3)
    before = at
  }
}

test('by time, a position is how much time has passed', () => {
  const axis = axisOf(ended(reviewed), byTime)
  expect(axis.length).toBe(8 * hour + 10 * second)
  expect(placeOf(axis, 10 * second)).toBe(10 * second)
  expect(shareOf(axis, -5)).toBe(0)
  expect(shareOf(axis, 99 * hour)).toBe(1)
  expectToBeOneToOne(axis, 8 * hour)
})

test('a long wait takes little room, work all that remains', () => {
  const axis = axisOf(ended(reviewed), shortened)
  expect(axis.gaps).toEqual([{ from: 10 * second, to: 8 * hour }])
  const wait = placeOf(axis, 8 * hour) - placeOf(axis, 10 * second)
  expect(wait).toBeGreaterThan(0)
  expect(wait / axis.length).toBeLessThan(0.05)
  expect(shareOf(axis, 10 * second)).toBeGreaterThan(0.45)
  expectToBeOneToOne(axis, 8 * hour + 10 * second)
})

test('a run without anything idle is drawn as it was', () => {
  const lanes = lanesOf({ a: [barOf(0, 60 * second)] })
  const [one, other] = [shortened, byTime].map((how) => axisOf({ start: 0, now: 0, end: 60 * second, lanes }, how))
  expect(one?.gaps).toEqual([])
  expect(one?.units).toEqual(other?.units)
})

test('while a run goes on, its axis stands still for a while, and then grows by a step', () => {
  const at = (now: number) => axisOf({ start: 0, now, end: undefined, lanes: lanesOf({}) }, byTime)
  expect(at(1 * second).length).toBe(4 * second)
  expect(at(3.9 * second).length).toBe(4 * second)
  expect(at(4.1 * second).length).toBe(5 * second)
  expect(at(3.9 * second).validUntil).toBe(4 * second)
})

test('a wait that goes on stands still as well, and now moves through it', () => {
  const lanes = lanesOf({ a: [barOf(0, 10 * second)], b: [barOf(10 * second, undefined, wait)] })
  const at = (now: number) => axisOf({ start: 0, now, end: undefined, lanes }, shortened)
  const [early, late] = [at(7.5 * hour), at(7.6 * hour)]
  expect(early.gaps).toHaveLength(1)
  expect(late.units).toEqual(early.units)
  expect(placeOf(late, 7.6 * hour)).toBeGreaterThan(placeOf(early, 7.5 * hour))
  expect(shareOf(early, 10 * second)).toBeGreaterThan(0.5)
  expect(early.validUntil).toBeGreaterThan(7.6 * hour)
  expect(early.validUntil).toBeLessThan(12 * hour)
  // Less than two seconds of work need no room for more while nobody works.
  const brief = lanesOf({ a: [barOf(0, 200)], b: [barOf(200, undefined, wait)] })
  const waiting = axisOf({ start: 0, now: 300 * second, end: undefined, lanes: brief }, shortened)
  expect(shareOf(waiting, 200)).toBeGreaterThan(0.6)
  expect(shareOf(waiting, 300 * second)).toBeGreaterThan(0.75)
  // It is not long enough yet, and nothing will happen to say so.
  expect(at(10.5 * second).validUntil).toBeLessThan(12 * second)
})

test('by event, every change is as far from the next', () => {
  const axis = axisOf(ended(reviewed), byEvent)
  const places = [2, 3, 4, 5, 6, 7].map((revision, index) => {
    const time = [0, 10 * second, 10 * second, 8 * hour, 8 * hour, 8 * hour + 10 * second][index] ?? 0
    return placeOf(axis, time, revision)
  })
  expect(places).toEqual([1, 2, 3, 4, 5, 6])
  // A time alone means all that happened until then.
  expect(placeOf(axis, 10 * second)).toBe(3)
  expect(placeOf(axis, 4 * hour)).toBeCloseTo(3.5, 2)
  expect(timeAt(axis, 3.5)).toBe(4 * hour + 5 * second)
  expect(revisionAt(axis, 3.4)).toBe(4)
  expect(revisionAt(axis, 3.6)).toBe(5)
  expect(revisionAt(axis, 0)).toBeUndefined()
  expect(axis.length).toBe(6)
  expect(axis.gaps).toEqual([])
})

test('by event, a run that goes on has room for what is to come', () => {
  const lanes = lanesOf({
    a: [barOf(100, 200, { revision: 2, endRevision: 3 }), barOf(300, undefined, { revision: 4 })],
  })
  const axis = axisOf({ start: 0, now: 5000, end: undefined, lanes }, byEvent)
  expect(placeOf(axis, 300, 4)).toBe(3)
  expect(axis.length).toBe(8)
  const now = placeOf(axis, 5000)
  expect(now).toBeGreaterThan(3)
  expect(now).toBeLessThanOrEqual(4)
  expect(axis.validUntil).toBeGreaterThanOrEqual(5000)
  const more = axisOf({ start: 0, now: axis.validUntil, end: undefined, lanes }, byEvent)
  expect(placeOf(more, 300, 4)).toBe(3)
})

test('what ran before the session was recorded is on the axis', () => {
  const lanes = lanesOf({ span: [barOf(-20 * second, -5 * second)], late: [barOf(0, 15 * second)] })
  const axis = axisOf({ start: 0, now: 0, end: 10 * second, lanes }, byTime)
  expect(axis.start).toBe(-20 * second)
  expect(axis.length).toBe(35 * second)
})

test('an axis of a run in which nothing happened has a length', () => {
  for (const how of [byTime, shortened, byEvent]) {
    for (const end of [undefined, 0]) {
      const axis = axisOf({ start: 0, now: 0, end, lanes: lanesOf({}) }, how)
      expect(axis.length).toBeGreaterThan(0)
      expect(Number.isFinite(placeOf(axis, 1))).toBe(true)
      expect(Number.isFinite(timeAt(axis, axis.length))).toBe(true)
    }
  }
})

test('a hundred thousand attempts become an axis at once', () => {
  const lanes = lanesOf(
    Object.fromEntries(
      Array.from({ length: 50 }, (_, node) => [
        `n${node}`,
        Array.from({ length: 2000 }, (_, round) =>
          barOf(round * 977 + node, round * 977 + node + 500, {
            revision: round * 100 + node,
            endRevision: round * 100 + 50,
          }),
        ),
      ]),
    ),
  )
  const began = performance.now()
  const axis = axisOf({ start: 0, now: 0, end: 2000 * 977, lanes }, byEvent)
  expect(axis.length).toBeGreaterThan(100_000)
  axisOf({ start: 0, now: 0, end: 2000 * 977, lanes }, shortened)
  expect(performance.now() - began).toBeLessThan(2000)
})
