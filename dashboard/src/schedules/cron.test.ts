import { expect, test } from 'vitest'

import { explainCron, isTimezone } from './cron'

const now = new Date('2026-11-25T10:00:00Z')
const next = (expression: string, zone = 'UTC') =>
  explainCron(expression, zone, 'en', now)?.next.map((time) => new Date(time).toISOString())

test('an expression is said in words, in both languages', () => {
  expect(explainCron('30 2 * * *', 'UTC', 'en', now)?.words).toBe('At 02:30')
  expect(explainCron('0 9 * * MON-FRI', 'UTC', 'en', now)?.words).toBe('At 09:00, Monday through Friday')
  expect(explainCron('30 2 * * *', 'UTC', 'zh-CN', now)?.words).toBe('在02:30')
})

test('the next times are those of its time zone', () => {
  expect(next('30 2 * * *')).toEqual([26, 27, 28, 29, 30].map((day) => `2026-11-${day}T02:30:00.000Z`))
  expect(next('30 2 * * *', 'Europe/Berlin')?.[0]).toBe('2026-11-26T01:30:00.000Z')
  expect(next('@hourly')?.[0]).toBe('2026-11-25T11:00:00.000Z')
  // Of six fields the first is the second.
  expect(next('*/15 * * * * *')?.slice(0, 2)).toEqual(['2026-11-25T10:00:15.000Z', '2026-11-25T10:00:30.000Z'])
  expect(next('0 0 L * *')?.[0]).toBe('2026-11-30T00:00:00.000Z')
})

test('a time that clocks leave out in spring is the first one after it, as at the server', () => {
  const spring = explainCron('30 2 * * *', 'Europe/Berlin', 'en', new Date('2026-03-28T12:00:00Z'))
  expect(new Date(spring?.next[0] ?? 0).toISOString()).toBe('2026-03-29T01:00:00.000Z')
})

test('what is no expression, or of no time zone, is not explained', () => {
  for (const expression of ['', '* * *', 'daily', '61 * * * *', '* * * * * * *'])
    expect(explainCron(expression, 'UTC', 'en', now)).toBeUndefined()
  expect(explainCron('* * * * *', 'Mars/Olympus', 'en', now)).toBeUndefined()
  expect([isTimezone('UTC'), isTimezone('Mars/Olympus')]).toEqual([true, false])
})
