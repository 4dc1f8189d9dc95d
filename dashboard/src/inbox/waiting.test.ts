import type { SessionSummary } from '@relive/types'
import { expect, test, vi } from 'vitest'

// The page's own connection needs a page.
vi.mock('../app/client', () => ({ client: {} }))

const { inOrderOfWaiting } = await import('./waiting')

const session = (id: string, status: string, suspended: number, updatedAt: string) =>
  ({ id, status, updatedAt, nodeCounts: { suspended } }) as unknown as SessionSummary

test('what waits for somebody is there, the longest first', () => {
  const sessions = [
    session('late', 'running', 1, '2026-01-02'),
    session('busy', 'running', 0, '2026-01-01'),
    session('ended', 'completed', 1, '2026-01-01'),
    session('early', 'paused', 2, '2026-01-01'),
  ]
  expect(inOrderOfWaiting(sessions).map(({ id }) => id)).toEqual(['early', 'late'])
})
