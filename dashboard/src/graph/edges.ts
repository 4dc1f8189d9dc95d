import type { GraphDefinition, NodeStatus, WorkflowSession } from '@relive/types'

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
  /** Where a label is put: in the middle. */
  readonly middle: readonly [number, number]
}

/** Characters of a label. */
export const labelAtMost = 40

/** The label that the graph gives an edge, in the property `edgeLabels` of the node it begins at. */
export function labelOf(graph: GraphDefinition | null | undefined, source: Item, target: Item): string | undefined {
  if (source.kind !== 'node' || target.kind !== 'node') return undefined
  const labels: unknown = graph?.nodes[source.id]?.properties?.edgeLabels
  if (typeof labels !== 'object' || labels === null) return undefined
  const label: unknown = (labels as Record<string, unknown>)[target.id]
  if (typeof label !== 'string' || label === '') return undefined
  return label.length > labelAtMost ? `${label.slice(0, labelAtMost - 1)}…` : label
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
        middle: middleOf(layout.positions[from], layout.positions[to], layout.bends[at]),
      },
    ]
  })
}

type Point = readonly [number, number] | undefined

function middleOf(from: Point, to: Point, bends: readonly Point[] | undefined): readonly [number, number] {
  const count = bends?.length ?? 0
  const [before, after] = [bends?.[Math.floor((count - 1) / 2)], bends?.[Math.floor(count / 2)]]
  if (before !== undefined && after !== undefined && count > 2)
    return [(before[0] + after[0]) / 2, (before[1] + after[1]) / 2]
  const { width, height } = nodeSize
  return [((from?.[0] ?? 0) + (to?.[0] ?? 0) + width) / 2, ((from?.[1] ?? 0) + (to?.[1] ?? 0) + height) / 2]
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
