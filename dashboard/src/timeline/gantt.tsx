import { useVirtualizer } from '@tanstack/react-virtual'
import { memo, type PointerEvent, useEffect, useMemo, useRef } from 'react'

import { duration } from '../format/time'
import { useText } from '../i18n/text'
import { instanceOf, nodeName } from '../node/instances'
import { selectedFrom, selectNode, useSelectedNode } from '../session/selection'
import { useOpenSession, useReadableSession, useSession } from '../session/session-context'
import { BarsCanvas } from './bars-canvas'
import { axisLabel, axisTicks, fraction } from './domain'
import { inOrder, type Lane } from './lanes'
import { deepest, nest } from './nested'
import { useDomain, useMovingMoment } from './use-domain'

/** As high as a target has to be that can be hit. */
const laneHeight = 24
/** Further to the right, the label of a tick would be clipped. */
const labelsUpTo = 0.97
const percent = (share: number) => `${(share * 100).toFixed(3)}%`

/** The intervals in which each node ran and waited. Clicking anywhere seeks to that moment. */
export function Gantt() {
  const t = useText()
  const { player } = useOpenSession()
  const domain = useDomain()
  const lanes = useReadableSession((state) => state.lanes)
  const live = useReadableSession((state) => state.live)
  const graph = useSession((state) => state.graph)
  const isReplay = useSession((state) => state.replay !== undefined)
  const selected = useSelectedNode()
  const nodes = live?.nodes
  const ordered = useMemo(() => nest(inOrder(lanes, graph), nodes), [lanes, graph, nodes])
  const isNested = ordered.some(({ depth }) => depth > 0)
  const scroller = useRef<HTMLDivElement>(null)
  const area = useRef<HTMLDivElement>(null)
  const list = useVirtualizer({
    count: ordered.length,
    getScrollElement: () => scroller.current,
    estimateSize: () => laneHeight,
    overscan: 8,
  })
  useMovingMoment((moment) => area.current?.style.setProperty('--at', String(fraction(domain, moment))))
  // biome-ignore lint/correctness/useExhaustiveDependencies: only a new choice scrolls; lanes that move or are added meanwhile do not.
  useEffect(() => {
    const index = ordered.findIndex(({ lane }) => lane.id === selected)
    if (index >= 0 && selectedFrom() !== 'timeline') list.scrollToIndex(index, { align: 'auto' })
  }, [selected])

  const seekTo = (event: PointerEvent) => {
    const box = area.current?.getBoundingClientRect()
    if (box === undefined || box.width === 0) return
    const share = Math.min(1, Math.max(0, (event.clientX - box.left) / box.width))
    player.seek({ at: Math.round(domain.start + share * (domain.end - domain.start)) })
  }
  const ticks = axisTicks(domain, 8)
  const length = domain.end - domain.start
  return (
    <div className="gantt">
      <div className="gantt-axis num" aria-hidden="true">
        {ticks
          .filter((offset) => offset / length <= labelsUpTo)
          .map((offset) => (
            <span key={offset} style={{ left: percent(offset / length) }}>
              {axisLabel(offset)}
            </span>
          ))}
      </div>
      <div className="gantt-lines" aria-hidden="true">
        {ticks.map((offset) => (
          <i key={offset} className="gantt-line" style={{ left: percent(offset / length) }} />
        ))}
      </div>
      <div className="gantt-scroll" ref={scroller} tabIndex={0} role="region" aria-label={t.timeline}>
        {ordered.length === 0 && <p className="empty">{t.noTimeline}</p>}
        <div className="virtual" style={{ height: list.getTotalSize() }}>
          {list.getVirtualItems().map(({ index, start }) => {
            const placed = ordered[index]
            if (placed === undefined) return null
            const { lane, depth } = placed
            return (
              <div
                key={lane.id}
                className={`lane${lane.id === selected ? ' selected' : ''}${instanceOf(lane.id, graph) === undefined ? '' : ' instance'}`}
                style={{ top: start }}
              >
                <LaneRow
                  lane={lane}
                  name={nodeName(lane.id, live, graph)}
                  depth={isNested ? Math.min(depth, deepest) : undefined}
                />
              </div>
            )
          })}
        </div>
      </div>
      <BarsCanvas lanes={ordered} domain={domain} laneHeight={laneHeight} scroller={scroller} />
      <div
        ref={area}
        className={`gantt-area${isReplay ? ' replayed' : ''}`}
        aria-hidden="true"
        onPointerDown={(event) => {
          if (event.button !== 0) return
          event.currentTarget.setPointerCapture(event.pointerId)
          seekTo(event)
        }}
        onPointerMove={(event) => {
          if (event.currentTarget.hasPointerCapture(event.pointerId)) seekTo(event)
        }}
        onWheel={(event) => scroller.current?.scrollBy({ top: event.deltaY })}
      >
        <i className="gantt-ahead" />
        <i className="gantt-now" />
      </div>
    </div>
  )
}

interface LaneRowProps {
  lane: Lane
  name: string
  /** How far it is set in; `undefined` where no lane is. */
  depth: number | undefined
}

const LaneRow = memo(function LaneRow({ lane, name, depth }: LaneRowProps) {
  const t = useText()
  const words = lane.bars
    .slice(-20)
    .map(({ status, from, to }) => `${t.status[status]}${to === undefined ? '' : ` ${duration(to - from)}`}`)
  return (
    <button
      type="button"
      className={`lane-name${depth === undefined ? '' : ' nested'}`}
      style={depth === undefined ? undefined : { paddingLeft: 10 + 12 * depth }}
      aria-label={`${name}: ${words.join(', ')}`}
      title={name}
      onClick={() => selectNode(lane.id, 'timeline')}
    >
      {name}
    </button>
  )
})
