import type { NodeStatus } from '@relive/types'

import { type Domain, fraction } from './domain'
import type { Bar, Lane } from './lanes'

/** The part of a canvas's context that bars are drawn with. */
export type Surface = Pick<
  CanvasRenderingContext2D,
  | 'fillStyle'
  | 'strokeStyle'
  | 'lineWidth'
  | 'globalAlpha'
  | 'lineCap'
  | 'fillRect'
  | 'beginPath'
  | 'roundRect'
  | 'fill'
> &
  Pick<CanvasRenderingContext2D, 'stroke' | 'setLineDash' | 'moveTo' | 'lineTo'>

export interface BarColours {
  readonly status: Readonly<Record<NodeStatus, string>>
}

/** How bars are placed on the canvas, in its pixels. */
export interface BarPlace {
  readonly domain: Domain
  readonly width: number
  /** The end of bars that still last, in milliseconds since 1970. */
  readonly now: number
}

const [barTop, barHeight, radius, leastWidth] = [6, 12, 4, 3]
/** A wait is lighter than work, and has a dashed border. */
const waitAlpha = 0.38
const workAlpha = 0.86

/** Draws the bars of one lane, whose upper edge is `top`. However short a bar was, it can be seen. */
export function drawLane(surface: Surface, lane: Lane, top: number, place: BarPlace, colours: BarColours): void {
  let [drawnTo, drawnAs]: [number, Bar['status'] | undefined] = [Number.NEGATIVE_INFINITY, undefined]
  for (const bar of lane.bars) {
    const left = fraction(place.domain, bar.from) * place.width
    const right = fraction(place.domain, bar.to ?? place.now) * place.width
    // Thousands of rounds are narrower than a pixel: of those that look the same, one is drawn.
    if (right <= drawnTo && bar.status === drawnAs) continue
    const width = Math.max(leastWidth, right - left)
    drawBar(surface, bar, left, top + barTop, width, colours)
    if (bar.status === 'failed' && bar.to !== undefined)
      drawCross(surface, left + width, top + barTop + barHeight / 2, colours)
    drawnTo = Math.max(drawnTo, Math.floor(left + width))
    drawnAs = bar.status
  }
}

function drawBar(surface: Surface, bar: Bar, x: number, y: number, width: number, colours: BarColours): void {
  surface.fillStyle = colours.status[bar.status]
  surface.globalAlpha = bar.status === 'suspended' ? waitAlpha : workAlpha
  if (width <= leastWidth) {
    surface.fillRect(x, y, width, barHeight)
  } else {
    surface.beginPath()
    surface.roundRect(x, y, width, barHeight, Math.min(radius, width / 2))
    surface.fill()
  }
  surface.globalAlpha = 1
  if (bar.status !== 'suspended' || width <= leastWidth) return
  surface.strokeStyle = colours.status.suspended
  surface.lineWidth = 1.2
  surface.setLineDash([4, 3])
  surface.stroke()
  surface.setLineDash([])
}

function drawCross(surface: Surface, x: number, y: number, colours: BarColours): void {
  surface.strokeStyle = colours.status.failed
  surface.lineWidth = 1.8
  surface.lineCap = 'round'
  surface.beginPath()
  surface.moveTo(x + 4, y - 3)
  surface.lineTo(x + 10, y + 3)
  surface.moveTo(x + 10, y - 3)
  surface.lineTo(x + 4, y + 3)
  surface.stroke()
}
