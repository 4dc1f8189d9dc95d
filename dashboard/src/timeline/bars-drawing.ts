import type { NodeStatus } from '@relive/types'

import { type Axis, placeOf } from './axis'
import type { Bar, Lane } from './lanes'
import { type Span, shareIn } from './span'

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
  readonly ink: string
}

/** How bars are placed: the part of the axis that is in view, as wide as `width` pixels. */
export interface BarPlace {
  readonly axis: Axis
  readonly span: Span
  readonly width: number
  /** The end of bars that still last, in milliseconds since 1970. */
  readonly now: number
}

export const laneHeight = 24
const [barTop, barHeight, radius, leastWidth] = [6, 12, 4, 3]
/** A wait is lighter than work, and has a dashed border. */
const waitAlpha = 0.38
const workAlpha = 0.86
/** How far beside the view rounded ends and crosses reach. */
const beside = 12
/** A pointer need not be nearer to a bar than this. */
const nearness = 4

/** The edges of a bar, in pixels from the left of the view. */
export function extentOf(bar: Bar, { axis, span, width, now }: BarPlace): readonly [left: number, right: number] {
  const left = shareIn(span, placeOf(axis, bar.from, bar.revision)) * width
  const right = shareIn(span, placeOf(axis, bar.to ?? now, bar.endRevision)) * width
  if (right - left >= leastWidth) return [left, right]
  // What is widened at the very end of the run goes to the left, where it can be seen.
  const begin = Math.min(left, shareIn(span, axis.length) * width - leastWidth)
  return [begin, begin + leastWidth]
}

/** Draws the bars of one lane, whose upper edge is `top`. However short a bar was, it can be seen. */
export function drawLane(surface: Surface, lane: Lane, top: number, place: BarPlace, colours: BarColours): void {
  let [drawnTo, drawnAs]: [number, Bar['status'] | undefined] = [Number.NEGATIVE_INFINITY, undefined]
  for (const bar of lane.bars) {
    const [left, right] = extentOf(bar, place)
    if (right < -beside || left > place.width + beside) continue
    // Thousands of rounds are narrower than a pixel: of those that look the same, one is drawn.
    if (right <= drawnTo + 1 && right - left < leastWidth + 0.01 && bar.status === drawnAs) continue
    // What is far beside the view is not drawn: a bar of hours, seen closely, is a million pixels long.
    const [from, to] = [Math.max(left, -beside), Math.min(right, place.width + beside)]
    drawBar(surface, bar, from, top + barTop, to - from, colours)
    if (bar.status === 'failed' && bar.to !== undefined && right === to)
      drawCross(surface, right, top + barTop + barHeight / 2, colours)
    drawnTo = Math.max(drawnTo, Math.floor(right))
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

/** The frame of the bar that is pointed at, or that the keys have moved to. */
export function drawFrame(surface: Surface, bar: Bar, top: number, place: BarPlace, colours: BarColours): void {
  const [left, right] = extentOf(bar, place)
  const [from, to] = [Math.max(left, -beside) - 1.5, Math.min(right, place.width + beside) + 1.5]
  if (to < 0 || from > place.width) return
  surface.strokeStyle = colours.ink
  surface.lineWidth = 1.5
  surface.beginPath()
  surface.roundRect(from, top + barTop - 1.5, to - from, barHeight + 3, radius)
  surface.stroke()
}

/** The bar of a lane that is at `x`, or else the nearest within reach. */
export function barAt(lane: Lane, x: number, place: BarPlace): Bar | undefined {
  let found: Bar | undefined
  let nearest = nearness
  for (const bar of lane.bars) {
    const [left, right] = extentOf(bar, place)
    const away = x < left ? left - x : x > right ? x - right : 0
    if (away > nearest) continue
    found = bar
    nearest = away
  }
  return found
}
