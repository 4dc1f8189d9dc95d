import { ReliveError } from '@relive/types'
import { expect, test } from 'vitest'

import { forEach } from './bulk'

const options = () => {
  const stop = new AbortController()
  const progress: number[] = []
  return { stop, progress, with: { signal: stop.signal, onProgress: (n: number) => progress.push(n), waitMs: () => 0 } }
}

test('what fails for some is told of each, and the others are done', async () => {
  const { progress, with: given } = options()
  const outcome = await forEach(
    [1, 2, 3, 4, 5, 6, 7],
    async (n) => {
      if (n % 3 === 0) throw new ReliveError('illegal_transition', `not ${n}`)
    },
    given,
  )
  expect(outcome.done).toBe(5)
  expect(outcome.failures.map(({ item, error }) => [item, (error as Error).message])).toEqual([
    [3, 'not 3'],
    [6, 'not 6'],
  ])
  expect(progress).toEqual([1, 2, 3, 4, 5, 6, 7])
})

test('at most four at a time, and none is begun after it was stopped', async () => {
  const { stop, with: given } = options()
  let [now, most] = [0, 0]
  const outcome = await forEach(
    Array.from({ length: 40 }, (_, n) => n),
    async (n) => {
      now += 1
      most = Math.max(most, now)
      await new Promise((resolve) => setTimeout(resolve, 0))
      now -= 1
      if (n === 9) stop.abort()
    },
    given,
  )
  expect(most).toBe(4)
  expect(outcome.left).toBeGreaterThan(20)
  expect(outcome.done + outcome.left).toBe(40)
})

test('what may be retried is sent again, and not for ever', async () => {
  const { with: given } = options()
  const tries = new Map<string, number>()
  const outcome = await forEach(
    ['busy', 'down'],
    async (name) => {
      const attempt = (tries.get(name) ?? 0) + 1
      tries.set(name, attempt)
      if (name === 'down' || attempt < 3) throw new ReliveError('unavailable', 'later', true)
    },
    given,
  )
  expect(outcome.failures.map(({ item }) => item)).toEqual(['down'])
  expect(tries.get('busy')).toBe(3)
  expect(tries.get('down')).toBe(6)
})
