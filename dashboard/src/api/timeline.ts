import type { NodeStatus } from '@relive/types'

import type { Bar, Lane, Lanes } from '../timeline/lanes'
import { get } from './http'

interface Interval {
  status: NodeStatus
  attempt: number
  from: string
  to?: string
  fromRevision: number
}

interface SessionTimeline {
  nodes: { id: string; intervals: Interval[] }[]
}

/** What every node of a session did, as the journal has it. */
export async function readTimeline(sessionId: string, signal: AbortSignal): Promise<Lanes> {
  const timeline = await get<SessionTimeline>(`/sessions/${sessionId}/timeline`, signal)
  return new Map(timeline.nodes.map(({ id, intervals }): [string, Lane] => [id, { id, bars: barsOf(intervals) }]))
}

/** The stretches of running and waiting, each drawn as what it ended as. */
export function barsOf(intervals: readonly Interval[]): readonly Bar[] {
  const bars: Bar[] = []
  intervals.forEach(({ status, attempt, from, to, fromRevision }, index) => {
    if (status !== 'running' && status !== 'suspended') return
    const next = intervals[index + 1]
    const ended = status === 'suspended' || next === undefined || next.attempt !== attempt ? status : next.status
    bars.push({
      from: Date.parse(from),
      to: to === undefined ? undefined : Date.parse(to),
      attempt,
      during: status,
      // A run that was interrupted by a wait did what it could until then.
      status: to !== undefined && (ended === 'running' || ended === 'suspended') && status === 'running' ? 'completed' : ended,
      revision: fromRevision,
    })
  })
  return bars
}
