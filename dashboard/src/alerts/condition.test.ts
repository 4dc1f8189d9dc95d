import type { AlertCondition } from '@relive/types'
import { expect, test } from 'vitest'

import { moreEn } from '../i18n/more-en'
import { moreZh } from '../i18n/more-zh'
import { addressesIn, conditionOf, conditionText, fieldsOf } from './condition'

const conditions: readonly AlertCondition[] = [
  { type: 'failures', count: 3, withinMinutes: 10 },
  { type: 'slowRun', factor: 1.5, minimumRuns: 50 },
  { type: 'budget', usdPerDay: 0.5 },
]

test('the form holds every condition, and gives it back as it was', () => {
  for (const condition of conditions) expect(conditionOf(fieldsOf(condition))).toEqual(condition)
  expect(conditionOf(fieldsOf(undefined))).toEqual({ type: 'failures', count: 3, withinMinutes: 10 })
  // What the server left out is what it takes instead.
  expect(conditionOf(fieldsOf({ type: 'slowRun' }))).toEqual({ type: 'slowRun', factor: 1, minimumRuns: 20 })
})

test('a condition without a number is not complete, whatever other conditions lack', () => {
  expect(conditionOf({ ...fieldsOf(undefined), count: ' ' })).toBeUndefined()
  expect(conditionOf({ ...fieldsOf(undefined), type: 'budget', usdPerDay: 'much' })).toBeUndefined()
  expect(conditionOf({ ...fieldsOf(undefined), usdPerDay: '' })).toBeDefined()
})

test('conditions are said in words', () => {
  expect(conditions.map((condition) => conditionText(condition, moreEn))).toEqual([
    '3 runs failed within 10 minutes',
    'a run takes 1.5 × the 99th percentile, once 50 runs completed',
    'the runs of a day cost more than $0.5000',
  ])
  expect(conditionText({ type: 'slowRun' }, moreEn)).toContain('longer than the 99th percentile, once 20 runs')
  for (const condition of conditions) expect(conditionText(condition, moreZh)).toMatch(/[一-鿿]/)
})

test('addresses are separated by whatever people put between them', () => {
  expect(addressesIn(' ada@example.org, grace@example.org;\nokafor@example.org ')).toEqual([
    'ada@example.org',
    'grace@example.org',
    'okafor@example.org',
  ])
  expect(addressesIn('  ')).toEqual([])
})
