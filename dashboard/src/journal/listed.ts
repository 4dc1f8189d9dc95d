/** Rows in the list at most: browsers cannot draw elements higher than about 33 million pixels. */
export const rowsAtMost = 1_000_000
/** The listed range moves in steps of this size, so that rows keep their places within a step. */
const step = 100_000

/**
 * The number of events before the listed range: none, unless there are more than can be listed.
 * Then the range is around the selected moment, or at the newest.
 */
export function leftOutBefore(last: number, current: number | undefined): number {
  if (last <= rowsAtMost) return 0
  const end = current === undefined ? last : Math.min(last, current + rowsAtMost / 2)
  return Math.max(0, Math.ceil((end - rowsAtMost) / step) * step)
}
