import type { SessionSummary } from '@relive/types'

import { groupBy } from './group-by'

/** Errors that are the same but for what is in them: ids, numbers, addresses, quoted texts. */
export interface ErrorGroup {
  /** The error with `…` for what differs. */
  readonly pattern: string
  /** The longest part that all of them have, by which a list can be filtered. */
  readonly common: string
  /** Newest first. */
  readonly sessions: readonly SessionSummary[]
}

/** What differs between two errors of one cause. The order matters: an id is not a number first. */
const varying =
  /https?:\/\/[^\s"'<>)]+|[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}|\b0x[0-9a-f]+\b|\b(?=[0-9a-f]*\d)[0-9a-f]{12,}\b|"[^"\n]{1,200}"|“[^”\n]{1,200}”|\d+(?:[.,:]\d+)*/gi

/** Longer errors are compared by their beginning. */
const comparedCharacters = 600
/** The server takes no longer text. */
const searchCharacters = 200

export function patternOf(error: string): string {
  return error.slice(0, comparedCharacters).trim().replace(varying, '…').replace(/\s+/g, ' ')
}

/** The longest literal part of a text's first lines, as it stands in the error. */
function commonOf(error: string): string {
  const parts = error
    .slice(0, comparedCharacters)
    .split(varying)
    .flatMap((part) => part.split(/\s{2,}|[\n\r\t]/))
  const longest = parts.reduce((best, part) => (part.trim().length > best.length ? part.trim() : best), '')
  return longest.slice(0, searchCharacters)
}

/** The errors of some failed runs, those of the most runs first. */
export function errorGroups(failed: readonly SessionSummary[]): ErrorGroup[] {
  const groups = groupBy(failed, ({ error }) => patternOf(error ?? ''))
  return [...groups]
    .map(([pattern, sessions]) => ({ pattern, common: commonOf(sessions[0]?.error ?? ''), sessions }))
    .sort((a, b) => b.sessions.length - a.sessions.length)
}
