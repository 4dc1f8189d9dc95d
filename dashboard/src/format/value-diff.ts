import { isBranch, membersOf, type Path } from '../context/json-path'

/** How one place of a JSON value differs; a side is `undefined` where there is nothing. */
export interface Difference {
  readonly path: Path
  readonly before: unknown
  readonly after: unknown
}

/** Differences that are looked for. */
const differencesAtMost = 200

export interface ValueDiff {
  readonly differences: readonly Difference[]
  /** There may be more. */
  readonly isCut: boolean
}

/** Where two JSON values differ: the innermost members that are not the same. Items of lists are compared by their places. */
export function diffOf(before: unknown, after: unknown): ValueDiff {
  const differences: Difference[] = []
  const open: Difference[] = [{ path: [], before, after }]
  for (let next = open.pop(); next !== undefined; next = open.pop()) {
    if (differences.length >= differencesAtMost) return { differences, isCut: true }
    if (Object.is(next.before, next.after)) continue
    if (!isBranch(next.before) || !isBranch(next.after) || Array.isArray(next.before) !== Array.isArray(next.after)) {
      differences.push(next)
      continue
    }
    const [was, is] = [new Map(membersOf(next.before)), new Map(membersOf(next.after))]
    const steps = [...new Set([...was.keys(), ...is.keys()])]
    for (const step of steps.reverse())
      open.push({ path: [...next.path, step], before: was.get(step), after: is.get(step) })
  }
  return { differences, isCut: false }
}
