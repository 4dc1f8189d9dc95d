import { afterEach, beforeEach, expect, test, vi } from 'vitest'

import { throttle } from './throttle'

beforeEach(() => void vi.useFakeTimers())
afterEach(() => void vi.useRealTimers())

/** Something to subscribe to, and how often its one listener was called. */
function watched(everyMs: number) {
  const listeners = new Set<() => void>()
  const told = vi.fn<() => void>()
  const stop = throttle((listener) => {
    listeners.add(listener)
    return () => listeners.delete(listener)
  }, everyMs)(told)
  return { change: () => listeners.forEach((listener) => listener()), told, stop, listeners }
}

test('the first change is told at once', () => {
  const { change, told } = watched(100)
  change()
  expect(told).toHaveBeenCalledTimes(1)
})

test('many changes are told at most once in a while, the last of them too', () => {
  const { change, told } = watched(100)
  for (let turn = 0; turn < 50; turn += 1) {
    change()
    vi.advanceTimersByTime(10)
  }
  // At 0, 100, 200, 300, 400 and, for what came after 400, at 500.
  expect(told).toHaveBeenCalledTimes(6)
  vi.advanceTimersByTime(1000)
  expect(told).toHaveBeenCalledTimes(6)
})

test('after a rest a change is again told at once', () => {
  const { change, told } = watched(100)
  change()
  vi.advanceTimersByTime(101)
  change()
  expect(told).toHaveBeenCalledTimes(2)
})

test('nothing is told after the end, not even what waited', () => {
  const { change, told, stop, listeners } = watched(100)
  change()
  change()
  stop()
  vi.advanceTimersByTime(1000)
  expect(told).toHaveBeenCalledTimes(1)
  expect(listeners.size).toBe(0)
})
