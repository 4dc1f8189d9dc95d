import type { GraphDefinition, NodeId, NodeStateSnapshot } from '@relive/types'
import { useMemo } from 'react'

import { millis } from '../format/time'
import { useSession } from '../session/session-context'
import type { SessionState } from '../session/state'

/** The nodes in the order in which they first began; those that have not, at the end. */
export function inOrderOfBeginning({ live, lanes }: Pick<SessionState, 'live' | 'lanes'>): readonly string[] {
  const began = ([id, { startedAt }]: readonly [string, NodeStateSnapshot]) =>
    lanes.get(id)?.bars[0]?.from ?? millis(startedAt) ?? Number.POSITIVE_INFINITY
  return Object.entries(live?.nodes ?? {})
    .map((entry) => ({ id: entry[0], at: began(entry) }))
    .sort((a, b) => (a.at === b.at ? (a.id < b.id ? -1 : 1) : a.at - b.at))
    .map(({ id }) => id)
}

/**
 * The graph of the run. A run without a graph shows the nodes that were named so far, without edges; they
 * keep their places when more are added.
 */
export function useShownGraph(): GraphDefinition | undefined {
  const graph = useSession((state) => state.graph)
  // A text, so that a changed status does not count as another graph. From the newest state, so
  // that nodes keep their places while the selected moment changes.
  const named = useSession((state) => (state.graph === null ? inOrderOfBeginning(state).join('\u0000') : ''))
  return useMemo(() => {
    if (graph !== null) return graph
    const ids = named === '' ? [] : named.split('\u0000')
    const start: NodeId = ids[0] ?? ''
    return {
      name: '',
      startNodeId: start,
      nodes: Object.fromEntries(ids.map((id) => [id, { id, type: '', name: id }])),
    }
  }, [graph, named])
}
