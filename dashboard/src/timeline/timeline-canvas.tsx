import { type RefObject, useEffect, useRef } from 'react'

import { useMoment } from '../session/session-context'
import { nodeStatuses } from '../status/status'
import { onTick } from '../ui/ticking-text'
import { type Token, useCanvas } from '../ui/use-canvas'
import type { Axis } from './axis'
import { drawAxis } from './axis-drawing'
import { isNamed } from './bar-steps'
import { type BarColours, drawFrame, drawLane, laneHeight } from './bars-drawing'
import type { NestedLane } from './nested'
import { useTimelineView } from './use-axis'

interface TimelineCanvasProps {
  lanes: readonly NestedLane[]
  axis: Axis
  scroller: RefObject<HTMLDivElement | null>
  /** The lane of the chosen node. */
  selected: string | undefined
}

export const rulerHeight = 28

/**
 * The ruler, and the bars of the lanes in view: as elements, those of a busy run would slow down the whole page. Zooming
 * and panning draws, and renders nothing.
 */
export function TimelineCanvas({ lanes, axis, scroller, selected }: TimelineCanvasProps) {
  const moment = useMoment()
  const view = useTimelineView()
  /** Something in view still lasts. */
  const isGrowing = useRef(false)
  const [ruler, askRuler] = useCanvas((surface, { width, height, token }) => {
    surface.font = `12px ${token('--font')}`
    const colours = {
      line: token('--line'),
      label: token('--faint'),
      gap: token('--dim'),
      hatch: token('--line-strong'),
    }
    drawAxis(surface, { axis, span: view.span(), width, height, ruler: rulerHeight }, colours)
  })
  const [bars, askBars] = useCanvas((surface, { width, height, token }) => {
    const scrolled = scroller.current?.scrollTop ?? 0
    const colours = barColours(token)
    const place = { axis, span: view.span(), width, now: moment() }
    const { pointed } = view
    isGrowing.current = false
    const first = Math.floor(scrolled / laneHeight)
    for (let index = first; index * laneHeight < scrolled + height; index += 1) {
      const lane = lanes[index]?.lane
      if (lane === undefined) break
      const top = index * laneHeight - scrolled
      // Below its bars, whose colours are those of statuses.
      if (lane.id === selected) drawSelection(surface, top, width, token)
      drawLane(surface, lane, top, place, colours)
      isGrowing.current ||= lane.bars.at(-1)?.to === undefined
      const framed = pointed?.bar.id === lane.id && lane.bars.find((bar) => isNamed(pointed.bar, lane.id, bar))
      if (framed) drawFrame(surface, framed, top, place, colours)
    }
  })
  useEffect(() => {
    const scrolled = scroller.current
    scrolled?.addEventListener('scroll', askBars, { passive: true })
    const stops = [
      view.subscribe(() => {
        askRuler()
        askBars()
      }),
      onTick(() => {
        if (isGrowing.current) askBars()
      }),
    ]
    return () => {
      stops.forEach((stop) => stop())
      scrolled?.removeEventListener('scroll', askBars)
    }
  }, [view, scroller, askBars, askRuler])
  return (
    <>
      <canvas ref={ruler} className="gantt-axis" />
      <canvas ref={bars} className="gantt-bars" />
    </>
  )
}

function drawSelection(surface: CanvasRenderingContext2D, top: number, width: number, token: Token): void {
  surface.fillStyle = token('--accent-soft')
  surface.fillRect(0, top, width, laneHeight)
}

function barColours(token: Token): BarColours {
  const status = Object.fromEntries(nodeStatuses.map((each) => [each, token(`--${each}`)])) as BarColours['status']
  return { status, ink: token('--ink') }
}
