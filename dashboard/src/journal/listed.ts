/** Rows in the list at most: browsers draw nothing that is higher than some 33 million pixels. */
export const rowsAtMost = 1_000_000
/** The listed part moves on by so much, so that rows stay where they are in between. */
const step = 100_000

/**
 * How many events come before those that are listed: none, unless there are more than can be listed.
 * Then those around the moment that is looked at are, or the newest.
 */
export function leftOutBefore(last: number, current: number | undefined): number {
  if (last <= rowsAtMost) return 0
  const end = current === undefined ? last : Math.min(last, current + rowsAtMost / 2)
  return Math.max(0, Math.ceil((end - rowsAtMost) / step) * step)
}
