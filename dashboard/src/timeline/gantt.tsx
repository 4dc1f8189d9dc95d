import { useVirtualizer } from '@tanstack/react-virtual'
import { memo, type PointerEvent, useEffect, useMemo, useRef } from 'react'

import { duration } from '../format/time'
import { useText } from '../i18n/text'
import { nodeName } from '../journal/describe'
import { selectedFrom, selectNode, useSelectedNode } from '../session/selection'
import { useMoment, useOpenSession, useReadableSession, useSession } from '../session/session-context'
import { onTick } from '../ui/ticking-text'
import { axisLabel, axisTicks, type Domain, fraction } from './domain'
import { type Bar, inOrder, type Lane } from './lanes'
import { useDomain, useMovingMoment } from './use-domain'

const laneHeight = 20
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
  const ordered = useMemo(() => inOrder(lanes), [lanes])
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
    const index = ordered.findIndex(({ id }) => id === selected)
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
    <section className="gantt" aria-label={t.timeline}>
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
            const lane = ordered[index]
            if (lane === undefined) return null
            return (
              <div key={lane.id} className={`lane${lane.id === selected ? ' selected' : ''}`} style={{ top: start }}>
                <LaneRow lane={lane} name={nodeName(lane.id, live, graph)} domain={domain} />
              </div>
            )
          })}
        </div>
      </div>
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
    </section>
  )
}

const LaneRow = memo(function LaneRow({ lane, name, domain }: { lane: Lane; name: string; domain: Domain }) {
  const t = useText()
  const words = lane.bars
    .slice(-20)
    .map(({ status, from, to }) => `${t.status[status]}${to === undefined ? '' : ` ${duration(to - from)}`}`)
  return (
    <>
      <button
        type="button"
        className="lane-name"
        aria-label={`${name}: ${words.join(', ')}`}
        title={name}
        onClick={() => selectNode(lane.id, 'timeline')}
      >
        {name}
      </button>
      <svg className="lane-bars" aria-hidden="true">
        {lane.bars.map((bar) => (
          <BarShape key={`${bar.from} ${bar.during}`} bar={bar} domain={domain} />
        ))}
      </svg>
    </>
  )
})

function BarShape({ bar, domain }: { bar: Bar; domain: Domain }) {
  const moment = useMoment()
  const element = useRef<SVGRectElement>(null)
  const from = fraction(domain, bar.from)
  const { to } = bar
  useEffect(() => {
    if (to !== undefined) return
    const grow = () => element.current?.setAttribute('width', percent(Math.max(0, fraction(domain, moment()) - from)))
    grow()
    return onTick(grow)
  })
  const width = to === undefined ? undefined : percent(fraction(domain, to) - from)
  return (
    <>
      <rect ref={element} className={`bar ${bar.status}`} x={percent(from)} y="4" height="12" rx="4" width={width} />
      {/* However short it was, it can be seen. */}
      <rect className={`bar-tick ${bar.status}`} x={percent(from)} y="4" height="12" width="3" rx="1.5" />
      {bar.status === 'failed' && to !== undefined && (
        <svg x={percent(fraction(domain, to))} y="10" overflow="visible">
          <path className="bar-cross" d="m4 -3 6 6m0-6-6 6" />
        </svg>
      )}
    </>
  )
}
