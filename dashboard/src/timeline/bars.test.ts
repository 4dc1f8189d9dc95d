import { expect, test } from 'vitest'

import { barsOf } from './bars'

const time = (second: number) => new Date(Date.UTC(2026, 0, 1, 0, 0, second)).toISOString()

test('intervals of work and waiting become bars, drawn as what they led to', () => {
  const bars = barsOf([
    { status: 'pending', from: time(0), to: time(1), fromRevision: 1 },
    { status: 'running', attempt: 1, from: time(1), to: time(2), fromRevision: 2 },
    { status: 'failed', attempt: 1, from: time(2), to: time(3), fromRevision: 3 },
    { status: 'running', attempt: 2, from: time(3), to: time(5), fromRevision: 4 },
    { status: 'suspended', attempt: 2, from: time(5), to: time(9), fromRevision: 5 },
    { status: 'running', attempt: 2, from: time(9), fromRevision: 6 },
  ])
  expect(bars.map(({ status, during, attempt, revision }) => [status, during, attempt, revision])).toEqual([
    ['failed', 'running', 1, 2],
    ['completed', 'running', 2, 4],
    ['suspended', 'suspended', 2, 5],
    ['running', 'running', 2, 6],
  ])
  expect(bars.at(-1)?.to).toBeUndefined()
})
