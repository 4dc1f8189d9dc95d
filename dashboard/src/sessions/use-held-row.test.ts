import { expect, test } from 'vitest'

import { rowAt, topOf } from './use-held-row'

const rows = (...ids: string[]) => ids.map((id) => ({ id }))

test('a row keeps its place when others come or go above it', () => {
  const held = rowAt(rows('c', 'b', 'a'), 54, 44)
  expect(held).toEqual({ id: 'b', into: 10 })
  expect(held && topOf(rows('e', 'd', 'c', 'b', 'a'), held, 44)).toBe(3 * 44 + 10)
  expect(held && topOf(rows('b', 'a'), held, 44)).toBe(10)
})

test('at the top nothing is held, and what is gone cannot be', () => {
  expect(rowAt(rows('a'), 0, 44)).toBeUndefined()
  expect(rowAt(rows('a'), 400, 44)).toBeUndefined()
  expect(topOf(rows('a'), { id: 'x', into: 1 }, 44)).toBeUndefined()
})
