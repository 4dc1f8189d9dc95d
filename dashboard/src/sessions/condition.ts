import type { SessionFilters, SessionSelection, SessionSummary } from '@relive/types'

import { agoPattern, isFolded, type ListFilters } from '../app/address'
import { isWaiting } from '../inbox/waiting'

const units = { m: 60_000, h: 3_600_000, d: 86_400_000 } as const

/** The time that a filter means, as the server takes it; `undefined` for any time. */
export function timeOf(text: string, now: number): string | undefined {
  if (text === '') return undefined
  const [, amount, unit] = agoPattern.exec(text) ?? []
  const time = amount === undefined ? Date.parse(text) : now - Number(amount) * units[unit as keyof typeof units]
  return Number.isNaN(time) ? undefined : new Date(time).toISOString()
}

/** What of the filters the server can do. */
export function toSessionFilters(filters: ListFilters, now: number): SessionFilters {
  const { text, statuses, groupId, workflowId, parentId, tags } = filters
  const startedAfter = timeOf(filters.startedAfter, now)
  const startedBefore = timeOf(filters.startedBefore, now)
  const endedAfter = timeOf(filters.endedAfter, now)
  const endedBefore = timeOf(filters.endedBefore, now)
  // Only what goes on can wait.
  const status = filters.isWaiting ? (['running', 'paused'] as const) : statuses
  return {
    ...(text.trim() !== '' && { text: text.trim() }),
    ...(status.length > 0 && { status }),
    ...(groupId !== '' && { groupId }),
    ...(workflowId !== '' && { workflowId }),
    ...(parentId !== '' && { parentSessionId: parentId }),
    ...(tags.length > 0 && { tag: tags }),
    ...(startedAfter !== undefined && { startedAfter }),
    ...(startedBefore !== undefined && { startedBefore }),
    ...(endedAfter !== undefined && { endedAfter }),
    ...(endedBefore !== undefined && { endedBefore }),
    ...(isFolded(filters) && parentId === '' && { rootsOnly: true }),
  }
}

/** The same as a request to delete has it; `undefined` if the server has no such filter, or if all would match. */
export function toSelection(filters: ListFilters, now: number): SessionSelection | undefined {
  if (filters.isWaiting) return undefined
  const { status, tag, ...others } = toSessionFilters(filters, now)
  const selection: SessionSelection = {
    ...others,
    ...(status !== undefined && { status: [status].flat() }),
    ...(tag !== undefined && { tag: [tag].flat() }),
  }
  return Object.keys(selection).some((name) => name !== 'rootsOnly') ? selection : undefined
}

/** What the server cannot: whether a session that it has found is listed. `undefined` where it does everything. */
export function keeps(filters: ListFilters): ((session: SessionSummary, now: number) => boolean) | undefined {
  // A list stays open, and what was started within the last hour is not for ever.
  const isPassing = agoPattern.test(filters.startedAfter)
  if (!filters.isWaiting && !isPassing) return undefined
  return (session, now) => {
    if (filters.isWaiting && !isWaiting(session)) return false
    if (!isPassing) return true
    return Date.parse(session.startedAt ?? '') > Date.parse(timeOf(filters.startedAfter, now) ?? '')
  }
}
