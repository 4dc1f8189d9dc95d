import { useVirtualizer } from '@tanstack/react-virtual'
import { type PointerEvent, useEffect, useMemo, useRef } from 'react'

import { knownNow } from '../app/known-now'
import { useText } from '../i18n/text'
import { instanceOf, nodeName } from '../node/instances'
import { selectedFrom, useSelectedNode } from '../session/selection'
import { useOpenSession, useReadableSession, useSession } from '../session/session-context'
import { setProperty } from '../ui/set-property'
import { BarTip } from './bar-tip'
import { BarsArea } from './bars-area'
import { laneHeight } from './bars-drawing'
import { LaneRow } from './lane-row'
import { inOrder } from './lanes'
import { foldsAround, nest, unfolded } from './nested'
import { shareIn } from './span'
import { targetAt } from './target'
import { TimelineCanvas } from './timeline-canvas'
import { TimelineTools } from './timeline-tools'
import { useAxis, useMovingMoment, useTimelineView, useView } from './use-axis'
import { onWheel } from './use-gestures'
import { useZoom } from './use-zoom'

/** The intervals in which each node ran and waited, steps below what they are steps of. */
export function Gantt() {
  const t = useText()
  const axis = useAxis()
  const view = useTimelineView()
  const lanes = useReadableSession((state) => state.lanes)
  const live = useReadableSession((state) => state.live)
  const graph = useSession((state) => state.graph)
  const { store } = useOpenSession()
  const isReplay = useSession((state) => state.replay !== undefined)
  const folded = useView((shared) => shared.folded)
  const selected = useSelectedNode()
  const nodes = live?.nodes
  const all = useMemo(() => nest(inOrder(lanes, graph), nodes), [lanes, graph, nodes])
  const rows = useMemo(() => unfolded(all, folded), [all, folded])
  const parents = useMemo(() => all.filter(({ inside }) => inside > 0).map(({ lane }) => lane.id), [all])
  const isNested = parents.length > 0
  const scroller = useRef<HTMLDivElement>(null)
  const cursor = useRef<HTMLDivElement>(null)
  const moment = useRef<number>(undefined)
  const wasSought = useRef(false)
  const zoom = useZoom(view, moment)
  const list = useVirtualizer({
    count: rows.length,
    getScrollElement: () => scroller.current,
    estimateSize: () => laneHeight,
    overscan: 8,
  })
  useMovingMoment((at) => {
    const before = moment.current
    moment.current = at
    const isSought = store.shown().replay?.target !== undefined
    // The answer to a seek can be another moment than was asked for: the nearest that there is.
    const isAnswer = wasSought.current && !isSought
    wasSought.current = isSought
    const { from, to } = view.span()
    // What was followed is followed on.
    if (before !== undefined && before !== at && before >= from && before <= to && !isAnswer) view.reveal(at)
    setProperty(cursor.current, '--at', shareIn(view.span(), at).toFixed(5))
  })
  // biome-ignore lint/correctness/useExhaustiveDependencies: only a new choice scrolls; lanes that move or are added meanwhile do not.
  useEffect(() => {
    if (selected === undefined || selectedFrom() === 'timeline') return
    const around = foldsAround(all, folded, selected)
    if (around.length > 0) view.fold(new Set([...folded].filter((id) => !around.includes(id))))
    const index = rows.findIndex(({ lane }) => lane.id === selected)
    if (index >= 0) list.scrollToIndex(index, { align: 'auto' })
  }, [selected])
  useEffect(() => {
    const element = scroller.current
    const leave = () => {
      if (view.pointed?.byKeys === false) view.point(undefined)
    }
    element?.addEventListener('scroll', leave, { passive: true })
    return () => element?.removeEventListener('scroll', leave)
  }, [view])

  return (
    <div className={`gantt${isNested ? ' nested' : ''}`}>
      <TimelineTools zoom={zoom} parents={parents} />
      <TimelineCanvas lanes={rows} axis={axis} scroller={scroller} selected={selected} />
      <Ruler />
      <div className="gantt-scroll" ref={scroller} tabIndex={0} role="region" aria-label={t.timeline}>
        {rows.length === 0 && <p className="empty">{t.noTimeline}</p>}
        <div className="virtual" style={{ height: list.getTotalSize() }}>
          {list.getVirtualItems().map(({ index, start }) => {
            const placed = rows[index]
            if (placed === undefined) return null
            const { lane, depth, inside } = placed
            return (
              <div
                key={lane.id}
                className={`lane${lane.id === selected ? ' selected' : ''}${instanceOf(lane.id, graph) === undefined ? '' : ' instance'}`}
                style={{ top: start }}
              >
                <LaneRow
                  lane={lane}
                  name={nodeName(lane.id, live, graph)}
                  depth={isNested ? depth : undefined}
                  inside={inside}
                  isFolded={inside > 0 && folded.has(lane.id)}
                />
              </div>
            )
          })}
          <BarsArea
            lanes={rows}
            axis={axis}
            scroller={scroller}
            onRow={(row) => list.scrollToIndex(row, { align: 'auto' })}
          />
        </div>
      </div>
      <div ref={cursor} className={`gantt-cursor${isReplay ? ' replayed' : ''}`} aria-hidden="true">
        <i className="gantt-ahead" />
        <i className="gantt-now" />
      </div>
      <BarTip />
    </div>
  )
}

/** Above the lanes, dragging moves the moment, however closely one looks. */
function Ruler() {
  const view = useTimelineView()
  const { player } = useOpenSession()
  const ruler = useRef<HTMLDivElement>(null)
  useEffect(() => (ruler.current === null ? undefined : onWheel(ruler.current, view)), [view])
  const seek = ({ clientX, currentTarget }: PointerEvent) => {
    const { left, width } = currentTarget.getBoundingClientRect()
    const { from, to } = view.span()
    const share = Math.min(1, Math.max(0, (clientX - left) / Math.max(1, width)))
    player.seek(targetAt(view.axis(), from + share * (to - from), knownNow()))
  }
  return (
    <div
      ref={ruler}
      className="gantt-ruler"
      aria-hidden="true"
      onPointerDown={(event) => {
        if (event.button !== 0) return
        event.currentTarget.setPointerCapture(event.pointerId)
        seek(event)
      }}
      onPointerMove={(event) => {
        if (event.currentTarget.hasPointerCapture(event.pointerId)) seek(event)
      }}
    />
  )
}
