import type { RetentionRule } from '@relive/types'
import { expect, test } from 'vitest'

import { draftOf, isValid, ruleOf, selectionOf } from './rules'

test('a rule survives being edited', () => {
  const rules: RetentionRule[] = [
    { olderThanDays: 30 },
    // It would delete otherwise.
    { olderThanDays: 90, action: 'archive' },
    { olderThanDays: 0.5, status: ['failed'], workflowId: 'w', groupId: 'g', tag: 't' },
  ]
  for (const rule of rules) expect(ruleOf(draftOf(rule))).toEqual(rule)
  expect(ruleOf(draftOf({ olderThanDays: 1, status: 'completed' }))).toEqual({
    olderThanDays: 1,
    status: ['completed'],
  })
})

test('a rule needs a number of days and a status', () => {
  const draft = draftOf({ olderThanDays: 1 })
  expect(isValid(draft)).toBe(true)
  for (const days of ['', ' ', 'x', '-1', '36501']) expect(isValid({ ...draft, days })).toBe(false)
  expect(isValid({ ...draft, statuses: [] })).toBe(false)
})

test('what is counted is what the rule would delete: nothing that goes on', () => {
  const now = Date.parse('2026-11-25T12:00:00Z')
  expect(selectionOf({ olderThanDays: 1.5, tag: 'load' }, now)).toEqual({
    status: ['completed', 'failed', 'cancelled'],
    endedBefore: '2026-11-24T00:00:00.000Z',
    tag: 'load',
  })
})
