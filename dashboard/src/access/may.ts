import type { WhoAmI } from '@relive/types'

/** Which actions the page offers, by permission. The server decides; this only hides what it would refuse. */
export type Offer =
  | 'create'
  | 'createFromGraph'
  | 'control'
  | 'review'
  | 'edit'
  | 'fork'
  | 'restore'
  | 'share'
  | 'readStatistics'
  | 'readCatalog'
  | 'administer'
  | 'manageKeys'
  | 'readAudit'

export const roles = ['viewer', 'reviewer', 'operator', 'engine', 'admin', 'root'] as const
export type Role = (typeof roles)[number]

/** As in the server's table. */
const allowed: Record<Offer, readonly Role[]> = {
  readCatalog: roles,
  share: roles,
  review: ['reviewer', 'operator', 'engine', 'admin', 'root'],
  control: ['operator', 'engine', 'admin', 'root'],
  create: ['operator', 'engine', 'admin', 'root'],
  fork: ['operator', 'admin', 'root'],
  restore: ['admin', 'root'],
  // Also a graph of one's own, instead of a stored workflow.
  createFromGraph: ['engine', 'admin', 'root'],
  // The context, the proposal and outputs of nodes.
  edit: ['engine', 'admin', 'root'],
  readStatistics: roles,
  // The catalog, webhooks, schedules, alerts and retention.
  administer: ['admin', 'root'],
  manageKeys: ['admin', 'root'],
  readAudit: ['admin', 'root'],
}

/** The scopes that allow an action on a session; none if no token allows it. */
function scopesFor(offer: Offer, sessionId: string | undefined): readonly string[] {
  if (offer === 'readStatistics') return ['read:sessions']
  if (sessionId !== undefined && offer === 'edit') return [`write:sessions:${sessionId}`]
  if (sessionId === undefined || (offer !== 'review' && offer !== 'control')) return []
  return [`${offer}:sessions:${sessionId}`, `write:sessions:${sessionId}`]
}

/** Whether to offer an action, on a session if it concerns one. While the caller is unknown nothing is hidden. */
export function may(me: WhoAmI | undefined, offer: Offer, sessionId?: string): boolean {
  const needsIdentity = offer === 'share' || offer === 'manageKeys' || offer === 'readAudit'
  if (me === undefined || (me.role === undefined && me.scopes === undefined)) return !needsIdentity
  // Without access control there is nothing to share or to audit, and creating a first key would lock everybody
  // else out.
  if (needsIdentity && !me.required) return false
  if (me.role !== undefined) return allowed[offer].some((role) => role === me.role)
  const scopes = me.scopes ?? []
  return scopesFor(offer, sessionId).some((scope) => scopes.includes(scope))
}

/** The roles of keys that a caller can create and revoke: at most the caller's own. */
export function rolesToGive(me: WhoAmI | undefined): readonly Role[] {
  return me?.role === 'root' ? roles : roles.filter((role) => role !== 'root')
}
