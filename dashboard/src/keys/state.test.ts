import type { Key } from '@relive/types'
import { expect, test } from 'vitest'

import { keyState } from './state'

const key: Key = {
  id: 'k',
  project: 'default',
  name: 'CI',
  role: 'engine',
  prefix: 'rlv_abc',
  createdAt: '2026-01-01T00:00:00.000Z',
}

test('a key is valid until it expires or is revoked', () => {
  const now = Date.parse('2026-02-01T00:00:00.000Z')
  expect(keyState(key, now)).toBe('valid')
  expect(keyState({ ...key, expiresAt: '2026-02-01T00:00:00.001Z' }, now)).toBe('valid')
  expect(keyState({ ...key, expiresAt: '2026-02-01T00:00:00.000Z' }, now)).toBe('expired')
  const revokedAt = '2026-01-15T00:00:00.000Z'
  expect(keyState({ ...key, revokedAt, expiresAt: '2026-01-20T00:00:00.000Z' }, now)).toBe('revoked')
})
