import { useStore as useFlow, ViewportPortal } from '@xyflow/react'
import { memo, useMemo } from 'react'

import type { NodeStatus } from '@relive/types'

import { useSession } from '../session/session-context'
import { shownSession } from '../session/state'
import { countsKey, readCounts, statusOfCounts } from './fold-status'
import type { Item } from './fold'
import { edgePath } from './edge-path'
import { nodeSize } from './layout'
import type { LaidOut } from './use-layout'

interface DrawnEdge {
  readonly key: string
  readonly source: Item
  readonly target: Item
  readonly isBack: boolean
  readonly path: string
  readonly box: readonly [left: number, top: number, right: number, bottom: number]
}

/** Steps in which the visible part moves, in pixels of the graph: between two of them nothing is decided anew. */
const step = 512

/** All edges in view, in one drawing below the nodes. */
export function EdgeLayer({ laidOut }: { laidOut: LaidOut }) {
  const edges = useMemo(() => drawnEdges(laidOut), [laidOut])
  // A text, so that panning by less than a step changes nothing.
  const view = useFlow(({ transform: [x, y, zoom], width, height }) => {
    const snapped = [-x / zoom / step, -y / zoom / step, (width - x) / zoom / step, (height - y) / zoom / step]
    return snapped.map((value, index) => (index < 2 ? Math.floor(value) : Math.ceil(value)) * step).join(' ')
  })
  const visible = useMemo(() => {
    const [left = 0, top = 0, right = 0, bottom = 0] = view.split(' ').map(Number)
    return edges.filter(({ box }) => box[2] >= left && box[0] <= right && box[3] >= top && box[1] <= bottom)
  }, [edges, view])
  return (
    <ViewportPortal>
      <svg className="edges" aria-hidden="true">
        <defs>
          <marker id="arrow" viewBox="0 0 8 8" refX="6.5" refY="4" markerWidth="7" markerHeight="7" orient="auto-start-reverse">
            <path d="M1 1 6.5 4 1 7" fill="none" stroke="context-stroke" strokeWidth="1.4" strokeLinecap="round" strokeLinejoin="round" />
          </marker>
        </defs>
        {visible.map(({ key, ...edge }) => (
          <EdgeLine key={key} {...edge} />
        ))}
      </svg>
    </ViewportPortal>
  )
}

const EdgeLine = memo(function EdgeLine({ source, target, isBack, path }: Omit<DrawnEdge, 'key'>) {
  const look = useSession((state) => {
    const session = shownSession(state)
    const from = statusOf(source, session)
    const to = statusOf(target, session)
    if (isBack) return (session?.nodes[target.id]?.attempt ?? 1) > 1 ? 'taken' : 'ahead'
    const isTaken = from === 'completed' && to !== 'pending' && to !== 'skipped'
    return isTaken ? (to === 'running' ? 'entering' : 'taken') : 'ahead'
  })
  return <path className={`edge ${look}${isBack ? ' back' : ''}`} d={path} markerEnd="url(#arrow)" />
})

function statusOf(item: Item, session: Parameters<typeof countsKey>[1]): NodeStatus {
  if (item.kind === 'node') return session?.nodes[item.id]?.status ?? 'pending'
  const status = statusOfCounts(readCounts(countsKey(item.region.members, session)))
  return status
}

function drawnEdges({ graph, layout }: LaidOut): readonly DrawnEdge[] {
  const index = new Map(graph.items.map((item, at) => [item.id, at]))
  return graph.edges.flatMap((edge, at): DrawnEdge[] => {
    const [from, to] = [index.get(edge.source), index.get(edge.target)]
    const [source, target] = [graph.items[from ?? -1], graph.items[to ?? -1]]
    if (from === undefined || to === undefined || source === undefined || target === undefined) return []
    const ends = [layout.positions[from], layout.positions[to], ...(layout.bends[at] ?? [])]
    const xs = ends.map((point) => point?.[0] ?? 0)
    const ys = ends.map((point) => point?.[1] ?? 0)
    const box = [Math.min(...xs) - nodeSize.width, Math.min(...ys) - nodeSize.height, Math.max(...xs) + nodeSize.width, Math.max(...ys) + nodeSize.height] as const
    return [{ key: `${edge.source}\u0000${edge.target}`, source, target, isBack: edge.isBack, path: edgePath(layout, at, from, to), box }]
  })
}
