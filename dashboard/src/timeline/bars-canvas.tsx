import { type RefObject, useEffect, useRef } from 'react'

import { useMoment } from '../session/session-context'
import { nodeStatuses } from '../status/status'
import { onTick } from '../ui/ticking-text'
import { type BarColours, drawLane } from './bars-drawing'
import type { Domain } from './domain'
import type { NestedLane } from './nested'

interface BarsCanvasProps {
  lanes: readonly NestedLane[]
  domain: Domain
  laneHeight: number
  scroller: RefObject<HTMLDivElement | null>
}

function readColours(): BarColours {
  const style = getComputedStyle(document.documentElement)
  const colours = nodeStatuses.map((status) => [status, style.getPropertyValue(`--${status}`).trim()])
  return { status: Object.fromEntries(colours) as BarColours['status'] }
}

/** The bars of the lanes in view, on one canvas: as elements, those of a busy run would slow down the whole page. */
export function BarsCanvas({ lanes, domain, laneHeight, scroller }: BarsCanvasProps) {
  const canvas = useRef<HTMLCanvasElement>(null)
  const moment = useMoment()
  const newest = useRef({ lanes, domain, moment })
  newest.current = { lanes, domain, moment }
  const redraw = useRef(() => {})
  useEffect(() => {
    const [element, scrolled] = [canvas.current, scroller.current]
    const context = element?.getContext('2d')
    if (element == null || scrolled === null || context == null) return
    let frame: number | undefined
    /** Something in view still lasts. */
    let isGrowing = false
    const draw = () => {
      frame = undefined
      const { lanes, domain, moment } = newest.current
      const [width, height] = [element.clientWidth, element.clientHeight]
      const scale = Math.min(2, devicePixelRatio)
      if (element.width !== Math.round(width * scale)) element.width = Math.round(width * scale)
      if (element.height !== Math.round(height * scale)) element.height = Math.round(height * scale)
      context.setTransform(scale, 0, 0, scale, 0, 0)
      context.clearRect(0, 0, width, height)
      const colours = readColours()
      const first = Math.floor(scrolled.scrollTop / laneHeight)
      const place = { domain, width, now: moment() }
      isGrowing = false
      for (let index = first; index * laneHeight < scrolled.scrollTop + height; index += 1) {
        const lane = lanes[index]?.lane
        if (lane === undefined) break
        drawLane(context, lane, index * laneHeight - scrolled.scrollTop, place, colours)
        isGrowing ||= lane.bars.at(-1)?.to === undefined
      }
    }
    const ask = () => {
      frame ??= requestAnimationFrame(draw)
    }
    redraw.current = ask
    ask()
    scrolled.addEventListener('scroll', ask, { passive: true })
    const sizes = new ResizeObserver(ask)
    sizes.observe(element)
    const theme = new MutationObserver(ask)
    theme.observe(document.documentElement, { attributeFilter: ['data-theme'] })
    const scheme = matchMedia('(prefers-color-scheme: dark)')
    scheme.addEventListener('change', ask)
    const stop = onTick(() => {
      if (isGrowing) ask()
    })
    return () => {
      stop()
      scheme.removeEventListener('change', ask)
      theme.disconnect()
      sizes.disconnect()
      scrolled.removeEventListener('scroll', ask)
      if (frame !== undefined) cancelAnimationFrame(frame)
    }
  }, [laneHeight, scroller])
  useEffect(() => redraw.current())
  return <canvas ref={canvas} className="gantt-bars" />
}
