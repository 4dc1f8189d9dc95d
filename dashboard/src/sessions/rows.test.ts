import type { SessionSummary } from '@relive/types'
import { expect, test, vi } from 'vitest'

vi.mock('../app/client', () => ({ client: {} }))

const { sorted, withFamilies } = await import('./rows')

const session = (id: string, change: Partial<SessionSummary> = {}) =>
  ({ id, nodeCounts: {}, totalCostUsd: 0, totalTokens: 0, ...change }) as SessionSummary
const family = (children: SessionSummary[], hasMore = false) => ({ children, isLoaded: true, hasMore })
const names = { name: ({ name }: SessionSummary) => name ?? '', group: ({ groupId }: SessionSummary) => groupId ?? '' }

test('children stand under their parents, at every level, and what follows them last', () => {
  const open = new Map([
    ['a', family([session('a2'), session('a1')], true)],
    ['a2', family([session('a2x')])],
    ['gone', family([session('x')])],
  ])
  const rows = withFamilies([session('b'), session('a')], open)
  expect(rows.map(({ id, depth }) => `${depth} ${id}`)).toEqual(['0 b', '0 a', '1 a2', '2 a2x', '1 a1', '1 more a'])
})

test('a session is listed once, also while it is in two lists', () => {
  const rows = withFamilies([session('a'), session('a1')], new Map([['a', family([session('a1')])]]))
  expect(rows.map(({ id }) => id)).toEqual(['a', 'a1'])
})

test('rows are sorted by what they show, those without a value last, equals as they were', () => {
  const order = (column: 'cost' | 'name' | 'started', isDescending: boolean, sessions: SessionSummary[]) =>
    sorted(sessions, { column, isDescending }, names, 0)
      .map(({ id }) => id)
      .join('')
  const some = [
    session('a', { totalCostUsd: 2, name: 'run 10', startedAt: '2026-01-02' }),
    session('b', { totalCostUsd: 9, name: 'Run 9' }),
    session('c', { totalCostUsd: 2, name: 'run 100', startedAt: '2026-01-01' }),
  ]
  expect(order('cost', true, some)).toBe('bac')
  expect(order('cost', false, some)).toBe('acb')
  expect(order('name', false, some)).toBe('bac')
  expect(order('started', true, some)).toBe('acb')
  expect(order('started', false, some)).toBe('cab')
  expect(sorted(some, undefined, names, 0)).toBe(some)
})

test('a run that goes on has lasted until now', () => {
  const some = [
    session('short', { startedAt: '2026-01-01T00:00:00Z', completedAt: '2026-01-01T00:00:09Z' }),
    session('still', { startedAt: '2026-01-01T00:00:00Z' }),
  ]
  const now = Date.parse('2026-01-01T00:00:05Z')
  const byDuration = { column: 'duration', isDescending: false } as const
  expect(sorted(some, byDuration, names, now)[0]?.id).toBe('still')
  expect(sorted(some, byDuration, names, now + 60_000)[0]?.id).toBe('short')
})
