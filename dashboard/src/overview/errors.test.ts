import type { SessionSummary } from '@relive/types'
import { expect, test } from 'vitest'

import { errorGroups, patternOf } from './errors'

const failed = (error?: string) => ({ id: error ?? '', error }) as unknown as SessionSummary

test('what differs between two errors of one cause is left out', () => {
  expect(patternOf('node a: 429 Too Many Requests after 12.5 s')).toBe(
    patternOf('node a: 503 Too Many Requests after 3 s'),
  )
  expect(patternOf('no session 0198c0de-0000-7000-8000-0000000000f1')).toBe('no session …')
  expect(patternOf('GET https://a.example/x?y=1 was refused')).toBe('GET … was refused')
  expect(patternOf('no member "rows" in it')).toBe('no member … in it')
  expect(patternOf('the disk is full')).not.toBe(patternOf('the disk is gone'))
})

test('a group is found by the longest part that its errors share', () => {
  const errors = [
    'fetch 17: connection reset by peer (3 tries)',
    'fetch 4: connection reset by peer (1 tries)',
    'timeout',
  ]
  const groups = errorGroups(errors.map(failed))
  expect(groups.map(({ sessions }) => sessions.length)).toEqual([2, 1])
  const common = groups[0]?.common ?? ''
  expect(common).toBe(': connection reset by peer (')
  for (const { error } of groups[0]?.sessions ?? []) expect(error).toContain(common)
})

test('a run without a reason is a group too', () => {
  expect(errorGroups([failed(), failed()])).toMatchObject([{ pattern: '', common: '' }])
})

test('a text is no longer than the server takes', () => {
  expect(errorGroups([failed('x'.repeat(5000))])[0]?.common.length).toBe(200)
})
