import { expect, test } from 'vitest'

import { gapsAtMost, idleStretches, worthShortening } from './gaps'
import { barOf, lanesOf } from './test-bars'

const second = 1000

test('a stretch is idle while no node runs, and who waits does not run', () => {
  const lanes = lanesOf({
    a: [barOf(2 * second, 10 * second), barOf(30 * second, 40 * second)],
    b: [barOf(5 * second, 12 * second), barOf(12 * second, 28 * second, { during: 'suspended', status: 'suspended' })],
  })
  expect(idleStretches(lanes, 0, 50 * second)).toEqual([
    { from: 0, to: 2 * second },
    { from: 12 * second, to: 28 * second },
    { from: 28 * second, to: 30 * second },
    { from: 40 * second, to: 50 * second },
  ])
})

test('what still runs leaves nothing idle after it, and a clock that went back does no harm', () => {
  const lanes = lanesOf({ a: [barOf(5000, 1000), barOf(9000, undefined)] })
  expect(idleStretches(lanes, 0, 20_000)).toEqual([
    { from: 0, to: 5000 },
    { from: 5000, to: 9000 },
  ])
  expect(idleStretches(lanesOf({}), 0, 20_000)).toEqual([])
})

test('only what is long compared with what remains is shortened', () => {
  const hour = 3_600_000
  const gaps = [
    { from: 1000, to: 3000 },
    { from: 60_000, to: 60_000 + hour },
    { from: 2 * hour, to: 50 * hour },
  ]
  // With the two long ones away, ten minutes remain, of which two seconds are too little.
  expect(worthShortening(gaps, 50 * hour)).toEqual(gaps.slice(1))
  // Little of the run: it is drawn as it was.
  expect(worthShortening([{ from: 0, to: 5000 }], 60_000)).toEqual([])
  expect(worthShortening([], 60_000)).toEqual([])
})

test('no more than so many are shortened', () => {
  const gaps = Array.from({ length: 200 }, (_, n) => ({ from: 2 ** n, to: 2 ** (n + 1) })).filter(({ to }) => to < 1e15)
  const many = Array.from({ length: 400 }, (_, n) => ({ from: n * 1e6, to: n * 1e6 + 999_999 * 1.03 ** -n }))
  expect(worthShortening([...gaps, ...many], 1e15).length).toBeLessThanOrEqual(gapsAtMost)
})
