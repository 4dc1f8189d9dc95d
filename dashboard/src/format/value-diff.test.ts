import { expect, test } from 'vitest'

import { diffOf } from './value-diff'

test('two values differ where their innermost members do, in their order', () => {
  const before = { a: 1, b: { c: [1, 2], d: 'x' }, gone: null }
  const after = { a: 1, b: { c: [1, 3, 4], d: 'x' }, come: { e: true } }
  expect(diffOf(before, after)).toEqual({
    differences: [
      { path: ['b', 'c', 1], before: 2, after: 3 },
      { path: ['b', 'c', 2], before: undefined, after: 4 },
      { path: ['gone'], before: null, after: undefined },
      { path: ['come'], before: undefined, after: { e: true } },
    ],
    isCut: false,
  })
})

test('a value of another kind differs as a whole, and equal ones do not', () => {
  expect(diffOf([1], { 0: 1 }).differences).toEqual([{ path: [], before: [1], after: { 0: 1 } }])
  expect(diffOf(undefined, 1).differences).toHaveLength(1)
  expect(diffOf({ a: [{ b: null }] }, { a: [{ b: null }] }).differences).toEqual([])
})

test('what differs everywhere is cut', () => {
  const items = Array.from({ length: 500 }, (_, index) => index)
  const { differences, isCut } = diffOf(
    items,
    items.map((item) => -1 - item),
  )
  expect([differences.length, isCut]).toEqual([200, true])
})
