import { type Axis, revisionAt, timeAt } from './axis'

/** What a replay is moved to for a position: by event the change that is there, and never what is to come. */
export function targetAt(axis: Axis, at: number, now: number): { readonly revision: number } | { readonly at: number } {
  const revision = revisionAt(axis, at)
  if (revision !== undefined) return { revision }
  return { at: Math.round(Math.min(timeAt(axis, at), Math.max(now, axis.start))) }
}
