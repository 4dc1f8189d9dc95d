import type { NodeStatus, WorkflowSession } from '@relive/types'

import { edgePath } from './edge-path'
import type { Item } from './fold'
import { countsKey, readCounts, statusOfCounts } from './fold-status'
import type { Box } from './in-view'
import type { LaidOut } from './laid-out'
import { nodeSize } from './placement'

export interface DrawnEdge {
  readonly key: string
  readonly source: Item
  readonly target: Item
  readonly isBack: boolean
  readonly path: string
  readonly box: Box
}

/** Whether the run has passed an edge, passes it now, or has not reached it. */
export type EdgeLook = 'taken' | 'entering' | 'ahead'

export function drawnEdges({ graph, layout }: LaidOut): readonly DrawnEdge[] {
  const index = new Map(graph.items.map((item, at) => [item.id, at]))
  return graph.edges.flatMap((edge, at): DrawnEdge[] => {
    const [from, to] = [index.get(edge.source), index.get(edge.target)]
    const [source, target] = [graph.items[from ?? -1], graph.items[to ?? -1]]
    if (from === undefined || to === undefined || source === undefined || target === undefined) return []
    const ends = [layout.positions[from], layout.positions[to], ...(layout.bends[at] ?? [])]
    const xs = ends.map((point) => point?.[0] ?? 0)
    const ys = ends.map((point) => point?.[1] ?? 0)
    const { width, height } = nodeSize
    const box = [
      Math.min(...xs) - width,
      Math.min(...ys) - height,
      Math.max(...xs) + width,
      Math.max(...ys) + height,
    ] as const
    return [
      {
        key: `${edge.source}\u0000${edge.target}`,
        source,
        target,
        isBack: edge.isBack,
        path: edgePath(layout, at, from, to),
        box,
      },
    ]
  })
}

export function lookOf(
  { source, target, isBack }: Pick<DrawnEdge, 'source' | 'target' | 'isBack'>,
  session: WorkflowSession | undefined,
): EdgeLook {
  if (isBack) return (session?.nodes[target.id]?.attempt ?? 1) > 1 ? 'taken' : 'ahead'
  const [from, to] = [statusOfItem(source, session), statusOfItem(target, session)]
  if (from !== 'completed' || to === 'pending' || to === 'skipped') return 'ahead'
  return to === 'running' ? 'entering' : 'taken'
}

export function statusOfItem(item: Item, session: WorkflowSession | undefined): NodeStatus {
  if (item.kind === 'node') return session?.nodes[item.id]?.status ?? 'pending'
  return statusOfCounts(readCounts(countsKey(item.region.members, session)))
}
