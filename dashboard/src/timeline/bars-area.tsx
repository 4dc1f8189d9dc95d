import { type KeyboardEvent, type RefObject, useId, useRef } from 'react'

import { knownNow } from '../app/known-now'
import { useText } from '../i18n/text'
import { selectNode } from '../session/selection'
import { useMoment, useOpenSession } from '../session/session-context'
import { type Axis, placeOf } from './axis'
import { type FoundBar, findBar, nameOf, nearest, type Step, stepped } from './bar-steps'
import { barAt, extentOf, laneHeight } from './bars-drawing'
import type { NestedLane } from './nested'
import { around } from './span'
import { targetAt } from './target'
import { useTimelineView } from './use-axis'
import { useGestures } from './use-gestures'

interface BarsAreaProps {
  lanes: readonly NestedLane[]
  axis: Axis
  scroller: RefObject<HTMLDivElement | null>
  /** Scrolls to a lane. */
  onRow(row: number): void
}

const steps: Partial<Record<string, Step>> = {
  ArrowLeft: 'left',
  ArrowRight: 'right',
  ArrowUp: 'up',
  ArrowDown: 'down',
  Home: 'first',
  End: 'last',
}

/** What answers to pointers and keys above the drawn bars. A press seeks; on a bar, it selects the node as well. */
export function BarsArea({ lanes, axis, scroller, onRow }: BarsAreaProps) {
  const t = useText()
  const id = useId()
  const { player } = useOpenSession()
  const moment = useMoment()
  const view = useTimelineView()
  const area = useRef<HTMLDivElement>(null)
  const place = () => ({ axis, span: view.span(), width: area.current?.clientWidth ?? 0, now: moment() })
  const positionAt = (x: number) => {
    const { span, width } = place()
    return Math.min(axis.length, Math.max(0, span.from + (x / Math.max(1, width)) * (span.to - span.from)))
  }
  const found = (x: number, y: number): FoundBar | undefined => {
    const row = Math.floor(y / laneHeight)
    const lane = lanes[row]?.lane
    const bar = lane && barAt(lane, x, place())
    return lane === undefined || bar === undefined ? undefined : { row, lane, bar, index: lane.bars.indexOf(bar) }
  }
  const seek = (x: number) => player.seek(targetAt(axis, positionAt(x), knownNow()))
  // What the last two clicks were on. The first of a double click selects a node, and what that opens may move the
  // lanes below the pointer.
  const clicked = useRef<[FoundBar | undefined, FoundBar | undefined]>([undefined, undefined])
  useGestures(area, view, {
    seek,
    click: (x, y) => {
      const hit = found(x, y)
      clicked.current = [clicked.current[1], hit]
      if (hit === undefined) return seek(x)
      const { bar, lane } = hit
      const [from, to] = [placeOf(axis, bar.from, bar.revision), placeOf(axis, bar.to ?? moment(), bar.endRevision)]
      selectNode(lane.id, 'timeline')
      player.seek(targetAt(axis, Math.min(to, Math.max(from, positionAt(x))), knownNow()))
    },
    doubleClick: () => {
      const bar = clicked.current[0]?.bar
      const edges = bar && [placeOf(axis, bar.from, bar.revision), placeOf(axis, bar.to ?? moment(), bar.endRevision)]
      view.show(edges && around(axis, edges[0] ?? 0, edges[1] ?? 0))
    },
    hover: (at) => {
      const hit = at && found(at.x, at.y)
      if (area.current !== null) area.current.dataset['over'] = hit === undefined ? '' : 'bar'
      if (at === undefined || hit === undefined) {
        if (view.pointed?.byKeys !== true) view.point(undefined)
        return
      }
      const bar = nameOf(hit.lane.id, hit.bar)
      const held = view.pointed
      if (held !== undefined && held.bar.id === bar.id && held.bar.from === bar.from && held.bar.during === bar.during)
        return
      view.point({ bar, x: at.clientX, y: at.clientY, byKeys: false })
    },
  })

  const point = (next: FoundBar) => {
    onRow(next.row)
    view.reveal(placeOf(axis, next.bar.from, next.bar.revision))
    const box = area.current?.getBoundingClientRect()
    if (box === undefined) return
    const [left, right] = extentOf(next.bar, place())
    const x = box.left + Math.min(box.width, Math.max(0, (Math.max(0, left) + Math.min(box.width, right)) / 2))
    view.point({ bar: nameOf(next.lane.id, next.bar), x, y: box.top + next.row * laneHeight, byKeys: true })
  }
  const onKeyDown = (event: KeyboardEvent) => {
    const held = findBar(lanes, view.pointed?.bar)
    const step = event.shiftKey ? undefined : steps[event.key]
    if (step !== undefined) {
      const first = () => nearest(lanes, Math.floor((scroller.current?.scrollTop ?? 0) / laneHeight), moment())
      const next = held === undefined ? first() : stepped(lanes, held, step)
      if (next !== undefined) point(next)
    } else if ((event.key === 'Enter' || event.key === ' ') && held !== undefined) {
      const { lane, bar } = held
      selectNode(lane.id, 'timeline')
      player.seek(bar.revision === undefined ? { at: bar.from } : { revision: bar.revision })
    } else if (event.key === 'Escape' && held !== undefined) {
      view.point(undefined)
    } else {
      return
    }
    event.preventDefault()
    event.stopPropagation()
  }
  return (
    <div
      ref={area}
      className="gantt-area"
      role="application"
      aria-roledescription={t.timeline}
      aria-label={t.timelineBars}
      aria-describedby={id}
      tabIndex={0}
      onKeyDown={onKeyDown}
      onBlur={() => view.point(undefined)}
    >
      <p id={id} className="visually-hidden">
        {axis.gaps.length > 0 ? `${t.timelineKeys} ${t.gapsShortened(axis.gaps.length)}` : t.timelineKeys}
      </p>
    </div>
  )
}
