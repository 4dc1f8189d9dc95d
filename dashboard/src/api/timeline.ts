import type { Timeline } from '@relive/types'

import { readLanes } from '../timeline/bars'
import type { Lanes } from '../timeline/lanes'
import { get, query } from './http'

/** The intervals of every node of a session, from the journal. */
export function readTimeline(sessionId: string, signal: AbortSignal): Promise<Lanes> {
  return readLanes((after) => get<Timeline>(`/sessions/${sessionId}/timeline${query({ after })}`, signal))
}
