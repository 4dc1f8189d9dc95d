import type { Key } from '@relive/types'

import { millis } from '../format/time'

export type KeyState = 'valid' | 'expired' | 'revoked'

export function keyState({ revokedAt, expiresAt }: Key, now: number): KeyState {
  if (revokedAt !== undefined) return 'revoked'
  return expiresAt !== undefined && millis(expiresAt) <= now ? 'expired' : 'valid'
}
