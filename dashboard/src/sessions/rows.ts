import type { SessionSummary } from '@relive/types'

import type { ListSort, SortColumn } from '../app/address'
import { sessionStatuses } from '../status/status'
import type { OpenFamilies } from './families'

/** Rows that are sorted: the server knows one order only, so that all of them have to be here. */
export const sortedAtMost = 2000

/** A row of the list: a session, or what follows the children that are shown. */
export type ListRow =
  | { readonly id: string; readonly session: SessionSummary; readonly depth: number; readonly isUnfolded: boolean }
  | { readonly id: string; readonly session: undefined; readonly depth: number; readonly moreOf: string }

/** The names by which rows are sorted, which are not part of a session. */
export interface Names {
  name(session: SessionSummary): string
  group(session: SessionSummary): string
}

type Key = string | number | undefined

function keyOf(session: SessionSummary, column: SortColumn, names: Names, now: number): Key {
  switch (column) {
    case 'name':
      return names.name(session)
    case 'group':
      return names.group(session) || undefined
    case 'workflow':
      return session.workflowName
    case 'status':
      return sessionStatuses.indexOf(session.status)
    case 'progress':
      return shareDone(session)
    case 'created':
      return session.createdAt
    case 'started':
      return session.startedAt
    case 'updated':
      return session.updatedAt
    case 'duration':
      if (session.startedAt === undefined) return undefined
      return (session.completedAt === undefined ? now : Date.parse(session.completedAt)) - Date.parse(session.startedAt)
    case 'tokens':
      return session.totalTokens
    case 'cost':
      return session.totalCostUsd
  }
}

function shareDone({ nodeCounts }: SessionSummary): number | undefined {
  const all = Object.values(nodeCounts).reduce((sum, count) => sum + (count ?? 0), 0)
  const done = (nodeCounts.completed ?? 0) + (nodeCounts.failed ?? 0) + (nodeCounts.skipped ?? 0)
  return all === 0 ? undefined : done / all
}

const collator = new Intl.Collator(undefined, { numeric: true, sensitivity: 'base' })

/** Sorted; what has no value comes last either way, and equals stay in the server's order. */
export function sorted(
  sessions: readonly SessionSummary[],
  sort: ListSort | undefined,
  names: Names,
  now: number,
): readonly SessionSummary[] {
  if (sort === undefined) return sessions
  const sign = sort.isDescending ? -1 : 1
  const keyed = sessions.slice(0, sortedAtMost).map((session) => ({
    session,
    key: keyOf(session, sort.column, names, now),
  }))
  keyed.sort(({ key: a }, { key: b }) => {
    if (a === undefined || b === undefined) return Number(a === undefined) - Number(b === undefined)
    if (typeof a === 'number' && typeof b === 'number') return sign * (a - b)
    return sign * collator.compare(String(a), String(b))
  })
  return keyed.map(({ session }) => session)
}

/** The sessions, and below those that are unfolded their children, and theirs. */
export function withFamilies(sessions: readonly SessionSummary[], open: OpenFamilies): readonly ListRow[] {
  const rows: ListRow[] = []
  // A list that was narrowed a moment ago may still have children among its rows.
  const seen = new Set<string>()
  const add = (session: SessionSummary, depth: number) => {
    if (seen.has(session.id)) return
    seen.add(session.id)
    const family = open.get(session.id)
    rows.push({ id: session.id, session, depth, isUnfolded: family !== undefined })
    if (family === undefined) return
    for (const child of family.children) add(child, depth + 1)
    if (family.hasMore)
      rows.push({ id: `more ${session.id}`, session: undefined, depth: depth + 1, moreOf: session.id })
  }
  for (const session of sessions) add(session, 0)
  return rows
}
