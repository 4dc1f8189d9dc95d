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
  expect(bars.map((bar) => [bar.status, bar.during, bar.attempt, bar.revision, bar.endRevision])).toEqual([
    ['failed', 'running', 1, 2, 3],
    ['completed', 'running', 2, 4, 5],
    ['suspended', 'suspended', 2, 5, 6],
    ['running', 'running', 2, 6, undefined],
  ])
  expect(bars.at(-1)?.to).toBeUndefined()
})
