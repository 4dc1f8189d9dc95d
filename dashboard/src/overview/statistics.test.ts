import type { Statistics, StatisticsBucket } from '@relive/types'
import { expect, test } from 'vitest'

import { addUp, beginOf, rowsOf, slotsOf } from './statistics'

const hour = 3_600_000
const at = (text: string) => Date.parse(text)

function bucket(
  start: string,
  runs: Partial<StatisticsBucket['runs']>,
  more: Partial<StatisticsBucket> = {},
): StatisticsBucket {
  const all = { completed: 0, failed: 0, cancelled: 0, ...runs }
  const total = all.completed + all.failed + all.cancelled
  return {
    start,
    runs: { ...all, total },
    successRate: all.completed / total,
    totalTokens: 0,
    totalCostUsd: 0,
    ...more,
  }
}

function statistics(buckets: StatisticsBucket[], more: Partial<Statistics> = {}): Statistics {
  return {
    from: '2026-11-25T10:00:00.000Z',
    to: '2026-11-25T12:20:00.000Z',
    bucket: 'hour',
    complete: true,
    buckets,
    ...more,
  }
}

test('a period ends with the current bucket, and has as many as it is called after', () => {
  const now = at('2026-11-25T10:20:30.500Z')
  expect(new Date(beginOf('hour', now)).toISOString()).toBe('2026-11-25T09:21:00.000Z')
  expect(new Date(beginOf('day', now)).toISOString()).toBe('2026-11-24T11:00:00.000Z')
  expect(new Date(beginOf('month', now)).toISOString()).toBe('2026-10-27T00:00:00.000Z')
})

test('buckets add up, and their percentiles are weighted by runs and marked', () => {
  const figures = addUp([
    bucket('a', { completed: 3 }, { durationMs: { p50: 100, p95: 200, p99: 0 }, totalTokens: 5, totalCostUsd: 0.5 }),
    bucket('b', { failed: 1 }, { durationMs: { p50: 500, p95: 1000, p99: 0 }, totalTokens: 7, totalCostUsd: 1 }),
    bucket('c', { cancelled: 4 }),
  ])
  expect(figures.runs).toEqual({ total: 8, completed: 3, failed: 1, cancelled: 4 })
  expect(figures).toMatchObject({
    successRate: 3 / 8,
    p50: 200,
    p95: 400,
    isApproximate: true,
    tokens: 12,
    costUsd: 1.5,
  })
})

test('the percentiles of one bucket are exact, and without runs there are none', () => {
  const one = addUp([
    bucket('a', { completed: 2 }, { durationMs: { p50: 1, p95: 2, p99: 3 } }),
    bucket('b', { cancelled: 1 }),
  ])
  expect(one).toMatchObject({ p50: 1, p95: 2, isApproximate: false })
  expect(addUp([])).toMatchObject({ successRate: undefined, p50: undefined, p95: undefined, isApproximate: false })
})

test('a period has every bucket, also those without runs', () => {
  const slots = slotsOf(statistics([bucket('2026-11-25T11:00:00.000Z', { failed: 2 })]))
  expect(
    slots.map(({ from, to, figures }) => [
      (from - at('2026-11-25T00:00:00Z')) / hour,
      (to - from) / hour,
      figures.runs.failed,
    ]),
  ).toEqual([
    [10, 1, 0],
    [11, 1, 2],
    [12, 1, 0],
  ])
})

test('groups are added up over the period, those with the most runs first', () => {
  const rows = rowsOf(
    statistics([
      bucket('1', { completed: 1 }, { key: 'a' }),
      bucket('1', { completed: 1 }, { key: 'b' }),
      bucket('1', { failed: 1 }),
      bucket('2', { failed: 1 }, { key: 'b' }),
    ]),
  )
  expect(rows.map(({ key, figures }) => [key, figures.runs.total])).toEqual([
    ['b', 2],
    [undefined, 1],
    ['a', 1],
  ])
})
