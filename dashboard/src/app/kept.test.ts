import { afterEach, expect, test, vi } from 'vitest'

import { kept } from './kept'

afterEach(() => vi.unstubAllGlobals())

const number = (stored: unknown) => (typeof stored === 'number' ? stored : 7)

test('a value is kept, and what is stored that is no such value is none', () => {
  const entries = new Map<string, string>([
    ['broken', '{'],
    ['other', '"text"'],
  ])
  vi.stubGlobal('localStorage', {
    getItem: (key: string) => entries.get(key) ?? null,
    setItem: (key: string, value: string) => void entries.set(key, value),
  })
  for (const key of ['broken', 'other', 'absent']) expect(kept(key, number).value()).toBe(7)
  const told = vi.fn<() => void>()
  const one = kept('one', number)
  const stop = one.subscribe(told)
  one.set(8)
  stop()
  one.set(9)
  expect(told).toHaveBeenCalledTimes(1)
  expect(kept('one', number).value()).toBe(9)
})

test('without storage it lasts as long as the page', () => {
  vi.stubGlobal('localStorage', {
    getItem: () => {
      throw new Error('refused')
    },
    setItem: () => {
      throw new Error('refused')
    },
  })
  const one = kept('one', number)
  one.set(8)
  expect(one.value()).toBe(8)
})
