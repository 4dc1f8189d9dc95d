import { expect, test, vi } from 'vitest'

import { knownNow, noteLost } from './known-now'

test('clocks stand still while a connection is lost, and go on when it is back', () => {
  vi.useFakeTimers({ now: 5000 })
  const [one, other] = [{}, {}]
  expect(knownNow()).toBe(5000)
  noteLost(one, 4000)
  noteLost(other, 4500)
  vi.advanceTimersByTime(1000)
  expect(knownNow()).toBe(4000)
  noteLost(one, undefined)
  expect(knownNow()).toBe(4500)
  noteLost(other, undefined)
  expect(knownNow()).toBe(6000)
  vi.useRealTimers()
})
