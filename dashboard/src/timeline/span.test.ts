import { expect, test } from 'vitest'

import { axisOf, placeOf, timeAt } from './axis'
import { noLanes } from './lanes'
import { around, carried, moved, shareIn, showing, wholeOf, zoomed } from './span'
import { barOf, lanesOf } from './test-bars'

const source = { start: 5000, now: 15_000, end: 15_000, lanes: noLanes }
const axis = axisOf(source, { by: 'time', shortensIdle: false })

test('what is at the pointer stays at the pointer', () => {
  const span = { from: 2000, to: 6000 }
  for (const factor of [2, 0.8]) {
    const next = zoomed(axis, span, factor, 3000)
    expect(next && next.to - next.from).toBe(4000 / factor)
    expect(next && shareIn(next, 3000)).toBeCloseTo(shareIn(span, 3000))
  }
})

test('no further than the whole run, and no closer than can be told apart', () => {
  expect(zoomed(axis, { from: 1000, to: 9500 }, 0.5, 2000)).toBeUndefined()
  const close = zoomed(axis, { from: 4000, to: 4030 }, 1000, 4010)
  expect(close && close.to - close.from).toBe(20)
  // At an edge it stays within the run.
  expect(zoomed(axis, { from: 0, to: 4000 }, 0.5, 3000)).toEqual({ from: 0, to: 8000 })
  expect(moved(axis, { from: 2000, to: 6000 }, -3000)).toEqual({ from: 0, to: 4000 })
  expect(moved(axis, { from: 2000, to: 6000 }, 9000)).toEqual({ from: 6000, to: 10_000 })
  expect(moved(axis, wholeOf(axis), 100)).toBeUndefined()
})

test('what is to be shown comes into view, and what is in view does not move', () => {
  expect(showing(axis, { from: 2000, to: 6000 }, 5000)).toEqual({ from: 2000, to: 6000 })
  expect(showing(axis, { from: 2000, to: 4000 }, 7000)).toEqual({ from: 6500, to: 8500 })
  expect(around(axis, 4000, 5000)).toEqual({ from: 3900, to: 5100 })
  expect(around(axis, 0, 10_000)).toBeUndefined()
})

test('the same times stay in view when the axis is made otherwise', () => {
  const bars = [
    barOf(5000, 6000, { revision: 2, endRevision: 3 }),
    barOf(14_000, 15_000, { revision: 4, endRevision: 5 }),
  ]
  const other = axisOf({ ...source, lanes: lanesOf({ a: bars }) }, { by: 'time', shortensIdle: true })
  expect(other.length).toBeLessThan(4000)
  const next = carried({ from: 500, to: 9500 }, axis, other)
  expect(next?.from).toBe(500)
  expect(timeAt(other, next?.to ?? 0)).toBeCloseTo(14_500)
  const grown = axisOf({ ...source, now: 40_000, end: 40_000 }, { by: 'time', shortensIdle: false })
  expect(carried({ from: 500, to: 9500 }, axis, grown)).toEqual({ from: 500, to: 9500 })
  expect(placeOf(grown, 5500)).toBe(500)
})
