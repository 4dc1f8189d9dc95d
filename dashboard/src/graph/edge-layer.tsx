import { useStore as useFlow, ViewportPortal } from '@xyflow/react'
import { memo, useMemo } from 'react'

import { useText } from '../i18n/text'
import { useSession } from '../session/session-context'
import { shownSession } from '../session/state'
import { labelOf } from './edge-labels'
import { type DrawnEdge, drawnEdges, lookOf } from './edges'
import { overlaps, readView, viewKey } from './in-view'
import type { LaidOut } from './laid-out'

/** All visible edges, in one drawing below the nodes. */
export function EdgeLayer({ laidOut }: { laidOut: LaidOut }) {
  const t = useText()
  const edges = useMemo(() => drawnEdges(laidOut), [laidOut])
  const view = useFlow(viewKey)
  const graph = useSession((state) => state.graph)
  const visible = useMemo(() => edges.filter(({ box }) => overlaps(box, readView(view))), [edges, view])
  return (
    <ViewportPortal>
      <svg className="edges" aria-hidden="true">
        <defs>
          <marker
            id="arrow"
            viewBox="0 0 8 8"
            refX="6.5"
            refY="4"
            markerWidth="7"
            markerHeight="7"
            orient="auto-start-reverse"
          >
            <path
              d="M1 1 6.5 4 1 7"
              fill="none"
              stroke="context-stroke"
              strokeWidth="1.4"
              strokeLinecap="round"
              strokeLinejoin="round"
            />
          </marker>
        </defs>
        {laidOut.inside?.map(({ id, frame: [left, top, right, bottom] }) => (
          <rect key={id} className="opened" x={left} y={top} width={right - left} height={bottom - top} rx="10" />
        ))}
        {visible.map(({ key, source, target, isBack, path }) => (
          <EdgeLine key={key} source={source} target={target} isBack={isBack} path={path} />
        ))}
        {visible.map(({ key, source, target, middle: [x, y] }) => {
          const label = labelOf(graph, source, target, t.edge)
          return (
            label !== undefined && (
              <text key={key} className="edge-label" x={x} y={y}>
                {label}
              </text>
            )
          )
        })}
      </svg>
    </ViewportPortal>
  )
}

const EdgeLine = memo(function EdgeLine({ path, ...edge }: Pick<DrawnEdge, 'source' | 'target' | 'isBack' | 'path'>) {
  const look = useSession((state) => lookOf(edge, shownSession(state)))
  return <path className={`edge ${look}${edge.isBack ? ' back' : ''}`} d={path} markerEnd="url(#arrow)" />
})
