import type { RetentionEffect, RetentionRule, SessionSelection, SessionStatus } from '@relive/types'

/** The statuses with which a rule can delete or archive. */
export const ends = ['completed', 'failed', 'cancelled'] as const satisfies readonly SessionStatus[]

/** A rule as it is being edited. */
export interface Draft {
  readonly days: string
  readonly statuses: readonly SessionStatus[]
  readonly workflowId: string
  readonly groupId: string
  readonly tag: string
  readonly action: RetentionEffect
}

const dayMs = 86_400_000
const daysAtMost = 36_500

export function draftOf({ olderThanDays, status, workflowId, groupId, tag, action }: RetentionRule): Draft {
  const named = status === undefined ? undefined : [status].flat()
  return {
    days: String(olderThanDays),
    // None named means all of them.
    statuses: ends.filter((each) => named === undefined || named.includes(each)),
    workflowId: workflowId ?? '',
    groupId: groupId ?? '',
    tag: tag ?? '',
    action: action ?? 'delete',
  }
}

export function isValid({ days, statuses }: Draft): boolean {
  const number = days.trim() === '' ? Number.NaN : Number(days)
  return number >= 0 && number <= daysAtMost && statuses.length > 0
}

export function ruleOf({ days, statuses, workflowId, groupId, tag, action }: Draft): RetentionRule {
  return {
    olderThanDays: Number(days),
    ...(statuses.length < ends.length && { status: [...statuses] }),
    ...(workflowId !== '' && { workflowId }),
    ...(groupId !== '' && { groupId }),
    ...(tag.trim() !== '' && { tag: tag.trim() }),
    ...(action !== 'delete' && { action }),
  }
}

/** What a rule concerns at a time, as a filter. Only what has ended has an end. */
export function selectionOf(
  { olderThanDays, status, workflowId, groupId, tag }: RetentionRule,
  now: number,
): SessionSelection {
  return {
    status: status ?? [...ends],
    endedBefore: new Date(now - olderThanDays * dayMs).toISOString(),
    ...(workflowId !== undefined && { workflowId }),
    ...(groupId !== undefined && { groupId }),
    ...(tag !== undefined && { tag }),
  }
}
