import type { NodeInterval, Timeline } from '@relive/types'

import type { Bar, Lane, Lanes } from './lanes'

/** Pages that are read. A longer timeline is cut at its end, and the live updates continue from there. */
const pagesAtMost = 8

/** The intervals of every node of a session, from the journal. `page` requests what follows a revision. */
export async function readLanes(page: (after: number | undefined) => Promise<Timeline>): Promise<Lanes> {
  const intervals = new Map<string, Map<string, NodeInterval>>()
  let after: number | undefined
  for (let read = 0; read < pagesAtMost; read += 1) {
    const timeline = await page(after)
    for (const { id, intervals: found } of timeline.nodes) {
      const known = intervals.get(id) ?? new Map<string, NodeInterval>()
      // An interval that was open at the end of the page before is returned again, with its end.
      for (const interval of found) known.set(`${interval.fromRevision} ${interval.status}`, interval)
      intervals.set(id, known)
    }
    if (timeline.truncated !== true) break
    after = timeline.revision
  }
  return new Map([...intervals].map(([id, known]): [string, Lane] => [id, { id, bars: barsOf([...known.values()]) }]))
}

/** The intervals of running and waiting, each drawn as the status in which it ended. */
export function barsOf(intervals: readonly NodeInterval[]): readonly Bar[] {
  const bars: Bar[] = []
  intervals.forEach(({ status, attempt = 1, from, to, fromRevision }, index) => {
    if (status !== 'running' && status !== 'suspended') return
    const next = intervals[index + 1]
    const then = to === undefined ? undefined : next?.status
    bars.push({
      from: Date.parse(from),
      to: to === undefined ? undefined : Date.parse(to),
      attempt,
      during: status,
      status: drawnAs(status, then),
      revision: fromRevision,
      endRevision: to === undefined ? undefined : next?.fromRevision,
    })
  })
  return bars
}

/** A wait is drawn as a wait; a run as its final status, or as completed if a wait or a new attempt followed. */
function drawnAs(during: 'running' | 'suspended', then: NodeInterval['status'] | undefined): Bar['status'] {
  if (during === 'suspended' || then === undefined) return during
  return then === 'failed' || then === 'skipped' ? then : 'completed'
}
