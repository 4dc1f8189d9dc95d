import { expect, test } from 'vitest'

import { leftOutBefore, rowsAtMost } from './listed'

test('everything is listed as long as it can be', () => {
  for (const last of [0, 1, rowsAtMost]) expect(leftOutBefore(last, undefined)).toBe(0)
  expect(leftOutBefore(rowsAtMost, 1)).toBe(0)
})

test('of more, the newest are listed, or those around the moment', () => {
  for (const last of [rowsAtMost + 1, 3_456_789, 40_000_000]) {
    for (const current of [undefined, 1, 2, 500_001, Math.floor(last / 2), last - 1, last]) {
      const before = leftOutBefore(last, current)
      const looked = current ?? last
      expect(looked).toBeGreaterThan(before)
      expect(looked).toBeLessThanOrEqual(before + rowsAtMost)
      expect(before).toBeLessThan(last)
    }
  }
})

test('what is listed stays while a run grows, until it moves on by a large step', () => {
  const listed = new Set(Array.from({ length: 1000 }, (_, more) => leftOutBefore(2_000_000 + more * 100, undefined)))
  expect(listed.size).toBeLessThanOrEqual(2)
})
