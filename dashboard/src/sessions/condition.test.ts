import type { SessionSummary } from '@relive/types'
import { expect, test, vi } from 'vitest'

// The inbox follows what waits by the page's client, which needs a page.
vi.mock('../app/client', () => ({ client: {} }))

const { noFilters } = await import('../app/address')
const { keeps, timeOf, toSelection, toSessionFilters } = await import('./condition')

const now = Date.parse('2026-11-26T12:00:00Z')

test('how long ago is counted from now, and a time is what it is', () => {
  expect(timeOf('', now)).toBeUndefined()
  expect(timeOf('90m', now)).toBe('2026-11-26T10:30:00.000Z')
  expect(timeOf('2d', now)).toBe('2026-11-24T12:00:00.000Z')
  expect(timeOf('2026-11-26T10:00:00+02:00', now)).toBe('2026-11-26T08:00:00.000Z')
})

test('the server is asked for all that it can', () => {
  expect(toSessionFilters(noFilters, now)).toEqual({ rootsOnly: true })
  expect(toSessionFilters({ ...noFilters, families: 'flat' }, now)).toEqual({})
  expect(toSessionFilters({ ...noFilters, text: ' a ', tags: ['x,y'], startedAfter: '1h' }, now)).toEqual({
    text: 'a',
    tag: ['x,y'],
    startedAfter: '2026-11-26T11:00:00.000Z',
  })
  expect(toSessionFilters({ ...noFilters, isWaiting: true }, now)).toEqual({ status: ['running', 'paused'] })
  expect(toSessionFilters({ ...noFilters, parentId: 'p', families: 'folded' }, now)).toEqual({ parentSessionId: 'p' })
})

test('nothing is deleted by a filter that the server does not have, nor without one', () => {
  expect(toSelection(noFilters, now)).toBeUndefined()
  expect(toSelection({ ...noFilters, families: 'folded' }, now)).toBeUndefined()
  expect(toSelection({ ...noFilters, isWaiting: true, tags: ['x'] }, now)).toBeUndefined()
  expect(toSelection({ ...noFilters, statuses: ['failed'], tags: ['x'] }, now)).toEqual({
    status: ['failed'],
    tag: ['x'],
  })
})

test('what the server does not know is looked at here', () => {
  const session = (change: Partial<SessionSummary>) =>
    ({ status: 'running', startedAt: '2026-11-26T11:30:00Z', nodeCounts: {}, ...change }) as SessionSummary
  expect(keeps(noFilters)).toBeUndefined()
  expect(keeps({ ...noFilters, startedAfter: '2026-11-26T11:00:00Z' })).toBeUndefined()
  const waits = keeps({ ...noFilters, isWaiting: true })
  const suspended = { nodeCounts: { suspended: 1 } as SessionSummary['nodeCounts'] }
  expect(waits?.(session(suspended), now)).toBe(true)
  expect(waits?.(session({}), now)).toBe(false)
  expect(waits?.(session({ ...suspended, status: 'failed' }), now)).toBe(false)
  const recent = keeps({ ...noFilters, startedAfter: '1h' })
  expect(recent?.(session({}), now)).toBe(true)
  expect(recent?.(session({}), now + 1_800_000)).toBe(false)
})
