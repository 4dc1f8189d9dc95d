import { ReliveError, type Timeline, type WorkflowSession } from '@relive/types'

import { readLanes } from '../timeline/bars'
import { type Lanes, noLanes, withInherited } from '../timeline/lanes'
import { get, query } from './http'

/** The intervals of every node of a session, from the journal. */
export function readTimeline(sessionId: string, signal: AbortSignal, to?: number): Promise<Lanes> {
  return readLanes((after) => get<Timeline>(`/sessions/${sessionId}/timeline${query({ after, to })}`, signal))
}

/** Forks of forks that are followed back. */
const ancestorsAtMost = 8

interface Fork {
  readonly parentId?: string | undefined
  readonly forkedFromRevision?: number | undefined
}

/** What a fork has of the runs that it was forked from: its own journal begins with the state that it took over. */
export async function readInherited(fork: Fork, signal: AbortSignal): Promise<Lanes> {
  let inherited = noLanes
  let { parentId, forkedFromRevision } = fork
  for (let depth = 0; depth < ancestorsAtMost && parentId !== undefined; depth += 1) {
    try {
      inherited = withInherited(inherited, await readTimeline(parentId, signal, forkedFromRevision))
      const parent: WorkflowSession = await get<WorkflowSession>(`/sessions/${parentId}`, signal)
      ;({ parentId, forkedFromRevision } = parent)
    } catch (error) {
      // Deleted, or not for this reader: what is known so far has to do.
      if (error instanceof ReliveError && !error.retryable) break
      throw error
    }
  }
  return inherited
}
