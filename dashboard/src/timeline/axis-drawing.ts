import { duration } from '../format/time'
import { type Axis, placeOf } from './axis'
import { type Span, shareIn } from './span'
import { ticksIn } from './ticks'

export interface AxisColours {
  readonly line: string
  readonly label: string
  readonly gap: string
  readonly hatch: string
}

export interface AxisPlace {
  readonly axis: Axis
  readonly span: Span
  readonly width: number
  readonly height: number
  /** The part above the lanes, with the labels. */
  readonly ruler: number
}

/** Pixels between ticks. */
const apart = 76
const hatchEvery = 6
const labelMargin = 6

/** The ruler and the lines below it; what is shortened is hatched, and says how long it was. */
export function drawAxis(surface: CanvasRenderingContext2D, place: AxisPlace, colours: AxisColours): void {
  const { axis, span, width, height, ruler } = place
  const x = (at: number) => shareIn(span, at) * width
  const taken: [number, number][] = []
  surface.textBaseline = 'middle'
  surface.textAlign = 'center'
  for (const { from, to } of axis.gaps) {
    const [left, right] = [x(placeOf(axis, from)), x(placeOf(axis, to))]
    if (right < 0 || left > width) continue
    drawGap(surface, Math.max(0, left), Math.min(width, right), ruler, height, colours)
    const text = `+${duration(to - from)}`
    const half = surface.measureText(text).width / 2 + labelMargin
    const middle = Math.min(width - half, Math.max(half, (left + right) / 2))
    if (taken.some(([begin, end]) => middle - half < end && middle + half > begin)) continue
    taken.push([middle - half, middle + half])
    surface.fillStyle = colours.gap
    surface.fillText(text, middle, ruler / 2)
  }
  surface.textAlign = 'left'
  for (const { at, label } of ticksIn(axis, span, ((span.to - span.from) / width) * apart)) {
    const left = x(at)
    surface.fillStyle = colours.line
    // A line does not go through what stands on the ruler.
    const top = taken.some(([begin, until]) => left > begin && left < until) ? ruler : 0
    surface.fillRect(Math.round(left), top, 1, height - top)
    const end = left + surface.measureText(label).width + 2 * labelMargin
    if (label === '' || end > width || taken.some(([begin, until]) => left < until && end > begin)) continue
    taken.push([left, end])
    surface.fillStyle = colours.label
    surface.fillText(label, left + labelMargin, ruler / 2)
  }
}

function drawGap(
  surface: CanvasRenderingContext2D,
  left: number,
  right: number,
  top: number,
  bottom: number,
  { hatch }: AxisColours,
): void {
  surface.save()
  surface.beginPath()
  surface.rect(left, top, right - left, bottom - top)
  surface.clip()
  surface.strokeStyle = hatch
  surface.lineWidth = 1
  surface.beginPath()
  const height = bottom - top
  for (let at = left - height; at < right; at += hatchEvery) {
    surface.moveTo(at, bottom)
    surface.lineTo(at + height, top)
  }
  surface.stroke()
  surface.restore()
}
