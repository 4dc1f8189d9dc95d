import type { WhoAmI } from '@relive/types'

/** What the page offers, as far as it takes a permission. The server decides; this says what need not be offered. */
export type Offer = 'create' | 'control' | 'review' | 'fork' | 'share' | 'readCatalog' | 'manageKeys' | 'readAudit'

export const roles = ['viewer', 'reviewer', 'operator', 'engine', 'admin', 'root'] as const
export type Role = (typeof roles)[number]

/** As the server's table has it. */
const allowed: Record<Offer, readonly Role[]> = {
  readCatalog: roles,
  share: roles,
  review: ['reviewer', 'operator', 'engine', 'admin', 'root'],
  control: ['operator', 'engine', 'admin', 'root'],
  create: ['operator', 'engine', 'admin', 'root'],
  fork: ['operator', 'admin', 'root'],
  manageKeys: ['admin', 'root'],
  readAudit: ['admin', 'root'],
}

/** The scopes that allow something of a session; none for what no token allows. */
function scopesFor(offer: Offer, sessionId: string | undefined): readonly string[] {
  if (sessionId === undefined || (offer !== 'review' && offer !== 'control')) return []
  return [`${offer}:sessions:${sessionId}`, `write:sessions:${sessionId}`]
}

/** Whether to offer something, of a session if it is about one. What is not known of the caller hides nothing. */
export function may(me: WhoAmI | undefined, offer: Offer, sessionId?: string): boolean {
  const needsIdentity = offer === 'share' || offer === 'manageKeys' || offer === 'readAudit'
  if (me === undefined || (me.role === undefined && me.scopes === undefined)) return !needsIdentity
  // While anyone may do anything, there is nothing to share and nobody to be told of, and a first key would lock
  // everybody else out.
  if (needsIdentity && !me.required) return false
  if (me.role !== undefined) return allowed[offer].some((role) => role === me.role)
  const scopes = me.scopes ?? []
  return scopesFor(offer, sessionId).some((scope) => scopes.includes(scope))
}

/** The roles of keys that somebody can make: nobody can give more than they have. */
export function rolesToGive(me: WhoAmI | undefined): readonly Role[] {
  return me?.role === 'root' ? roles : roles.filter((role) => role !== 'root')
}
