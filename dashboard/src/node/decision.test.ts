import type { Recorded } from '@relive/types'
import { expect, test } from 'vitest'

import { decisionIn } from './decision'

function signalled(revision: number, nodeId: string, payload: unknown, by?: string): Recorded {
  return {
    sessionId: 's',
    revision,
    at: '2026-01-01T00:00:00Z',
    ...(by !== undefined && { by: { kind: 'key', id: 'k', name: by } }),
    event: { type: 'signalled', nodeId, payload },
  } as Recorded
}

test('the last signal of the node says who decided what', () => {
  const events = [
    signalled(3, 'a', { review: { action: 'reject' } }, 'Ada'),
    signalled(5, 'a', { review: { action: 'approve', reviewer: 'Rita' } }, 'Rita'),
    signalled(6, 'b', { review: { action: 'modify' } }, 'Ben'),
  ]
  expect(decisionIn(events, 'a')).toMatchObject({ decision: 'approve', by: 'Rita', revision: 5 })
  expect(decisionIn(events, 'c')).toBeUndefined()
})

test('without a sign-in the reviewer is who it says, and a plain signal is nobody’s', () => {
  expect(decisionIn([signalled(2, 'a', { review: { action: 'approve', reviewer: 'Rita' } })], 'a')?.by).toBe('Rita')
  expect(decisionIn([signalled(2, 'a', { review: { action: 'approve', reviewer: 7 } })], 'a')).toBeUndefined()
  expect(decisionIn([signalled(2, 'a', null)], 'a')).toBeUndefined()
  expect(decisionIn([signalled(2, 'a', 42, 'Ada')], 'a')).toMatchObject({ decision: undefined, by: 'Ada' })
})
