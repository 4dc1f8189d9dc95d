import type { ReliveError } from '@relive/types'

/**
 * - `loading`: nothing has come yet;
 * - `live`: what is shown is kept up to date, also over lost connections;
 * - `ended`: the session has ended, and nothing more comes;
 * - `failed`: nothing more comes, and `error` says why.
 */
export type Status = 'loading' | 'live' | 'ended' | 'failed'

export function statusOf(error: ReliveError | undefined, hasEnded: boolean, isThere: boolean): Status {
  if (error !== undefined) return 'failed'
  if (!isThere) return 'loading'
  return hasEnded ? 'ended' : 'live'
}
