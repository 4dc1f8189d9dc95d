import { expect, test } from 'vitest'

import { axisOf, placeOf } from './axis'
import { noLanes } from './lanes'
import { wholeOf } from './span'
import { barOf, lanesOf } from './test-bars'
import { axisLabel, ticksIn } from './ticks'

test('ticks are round, and as far apart as was asked', () => {
  const axis = axisOf({ start: 77, now: 0, end: 60_077, lanes: noLanes }, { by: 'time', shortensIdle: true })
  expect(ticksIn(axis, wholeOf(axis), 11_000).map(({ label }) => label)).toEqual([
    '0 s',
    '15 s',
    '30 s',
    '45 s',
    '1:00',
  ])
  const close = ticksIn(axis, { from: 1010, to: 1105 }, 20)
  expect(close.map(({ label }) => label)).toEqual(['1.02 s', '1.04 s', '1.06 s', '1.08 s', '1.1 s'])
  expect(close.map(({ at }) => Math.round(at))).toEqual([1020, 1040, 1060, 1080, 1100])
})

test('what is shortened has no ticks in it, and is not counted through', () => {
  const year = 365 * 86_400_000
  const lanes = lanesOf({ a: [barOf(0, 10_000), barOf(year, year + 10_000)] })
  const axis = axisOf({ start: 0, now: 0, end: year + 10_000, lanes }, { by: 'time', shortensIdle: true })
  const began = performance.now()
  const ticks = ticksIn(axis, wholeOf(axis), 2000)
  expect(performance.now() - began).toBeLessThan(100)
  const [from, to] = [placeOf(axis, 10_000), placeOf(axis, year)]
  expect(ticks.filter(({ at }) => at > from && at < to)).toEqual([])
  expect(ticks.filter(({ at }) => at <= from)).toHaveLength(6)
  expect(ticks.filter(({ at }) => at >= to)).toHaveLength(6)
})

test('by event, ticks are changes, named by their revision', () => {
  const bars = Array.from({ length: 100 }, (_, n) =>
    barOf(n * 10, n * 10 + 5, { revision: 4 * n + 2, endRevision: 4 * n + 4 }),
  )
  const axis = axisOf({ start: 0, now: 0, end: 1000, lanes: lanesOf({ a: bars }) }, { by: 'event', shortensIdle: true })
  expect(ticksIn(axis, { from: 0, to: 100 }, 13).map(({ at, label }) => [at, label])).toEqual([
    [0, ''],
    [20, '#40'],
    [40, '#80'],
    [60, '#120'],
    [80, '#160'],
    [100, '#200'],
  ])
})

test('a label says as much as its step can tell', () => {
  const [minute, hour, day] = [60_000, 3_600_000, 86_400_000]
  const label = (offset: number, step: number) => axisLabel(offset, step)
  expect(label(0, 1)).toBe('0 s')
  expect(label(5, 5)).toBe('0.005 s')
  expect(label(1500, 500)).toBe('1.5 s')
  expect(label(90_000, 30_000)).toBe('1:30')
  expect(label(90_500, 500)).toBe('1:30.5')
  expect(label(2 * hour, hour)).toBe('2 h')
  expect(label(2 * hour + 5 * minute, 5 * minute)).toBe('2:05:00')
  expect(label(day, day)).toBe('1 d')
  expect(label(3 * day + 6 * hour, 6 * hour)).toBe('3 d 6 h')
  expect(label(3 * day + 6 * hour + 90_000, 30_000)).toBe('3 d 06:01:30')
})
