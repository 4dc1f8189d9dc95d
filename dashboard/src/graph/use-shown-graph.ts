import type { GraphDefinition, NodeId } from '@relive/types'
import { useMemo } from 'react'

import { useSession } from '../session/session-context'

/**
 * The graph of the run. A run without a graph shows the nodes that were named so far, without edges; they
 * keep their places when more are added.
 */
export function useShownGraph(): GraphDefinition | undefined {
  const graph = useSession((state) => state.graph)
  // A text, so that a changed status does not count as another graph. From the newest state, so
  // that nodes keep their places while the selected moment changes.
  const named = useSession((state) => (state.graph === null ? Object.keys(state.live?.nodes ?? {}).join('\u0000') : ''))
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
