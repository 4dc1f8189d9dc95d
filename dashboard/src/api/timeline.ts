import type { NodeInterval, Timeline } from '@relive/types'

import type { Bar, Lane, Lanes } from '../timeline/lanes'
import { get, query } from './http'

/** Pages that are read; a timeline of more than that is cut at its end, and live goes on from there. */
const pagesAtMost = 8

/** What every node of a session did, as the journal has it. */
export async function readTimeline(sessionId: string, signal: AbortSignal): Promise<Lanes> {
  const intervals = new Map<string, Map<string, NodeInterval>>()
  let after: number | undefined
  for (let page = 0; page < pagesAtMost; page += 1) {
    const timeline = await get<Timeline>(`/sessions/${sessionId}/timeline${query({ after })}`, signal)
    for (const { id, intervals: found } of timeline.nodes) {
      const known = intervals.get(id) ?? new Map<string, NodeInterval>()
      // One that was open at the end of the page before comes again, with its end.
      for (const interval of found) known.set(`${interval.fromRevision} ${interval.status}`, interval)
      intervals.set(id, known)
    }
    if (timeline.truncated !== true) break
    after = timeline.revision
  }
  return new Map([...intervals].map(([id, known]): [string, Lane] => [id, { id, bars: barsOf([...known.values()]) }]))
}

/** The stretches of running and waiting, each drawn as what it ended as. */
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
    })
  })
  return bars
}

/** A wait is drawn as a wait; work as what it led to, and as done when it led to a wait or a new attempt. */
function drawnAs(during: 'running' | 'suspended', then: NodeInterval['status'] | undefined): Bar['status'] {
  if (during === 'suspended' || then === undefined) return during
  return then === 'failed' || then === 'skipped' ? then : 'completed'
}
