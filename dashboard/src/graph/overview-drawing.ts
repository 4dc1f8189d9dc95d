import type { NodeStatus, WorkflowSession } from '@relive/types'

import { nodeStatuses } from '../status/status'
import { type DrawnEdge, type EdgeLook, lookOf, statusOfItem } from './edges'
import { type Box, boxAt, overlaps } from './in-view'
import type { LaidOut } from './laid-out'
import { nodeSize } from './placement'

/** The colours of the page, for the canvas. */
export interface Palette {
  readonly status: Readonly<Record<NodeStatus, string>>
  readonly panel: string
  readonly ink: string
  readonly dim: string
  readonly ghost: string
  readonly accent: string
  readonly font: string
}

export function readPalette(): Palette {
  const style = getComputedStyle(document.documentElement)
  const value = (name: string) => style.getPropertyValue(`--${name}`).trim()
  return {
    status: Object.fromEntries(nodeStatuses.map((status) => [status, value(status)])) as Record<NodeStatus, string>,
    panel: value('panel'),
    ink: value('ink'),
    dim: value('dim'),
    ghost: value('ghost'),
    accent: value('accent'),
    font: value('font'),
  }
}

/** The shapes of the icons, in a square of 12. */
const shapes: Record<NodeStatus, { readonly path: Path2D; readonly isFilled: boolean }> = {
  pending: { path: new Path2D('M6 1.4a4.6 4.6 0 1 1 0 9.2 4.6 4.6 0 0 1 0-9.2'), isFilled: false },
  running: { path: new Path2D('M3 1.6v8.8L10.5 6z'), isFilled: true },
  completed: { path: new Path2D('M1.6 6.4 4.8 9.6 10.6 2.6'), isFilled: false },
  failed: { path: new Path2D('m2.2 2.2 7.6 7.6m0-7.6L2.2 9.8'), isFilled: false },
  skipped: { path: new Path2D('M2 6h8'), isFilled: false },
  suspended: { path: new Path2D('M3.2 1.8v8.4M8.8 1.8v8.4'), isFilled: false },
}

/** Names are drawn from this zoom on; below it they could not be read. */
const namesFrom = 0.26

export interface Drawing {
  readonly laidOut: LaidOut
  readonly edges: readonly (DrawnEdge & { readonly line: Path2D })[]
  readonly session: WorkflowSession | undefined
  readonly names: (id: string) => string
  readonly selected: string | undefined
  /** Near by, cards are elements of the page, and only the edges are drawn here. */
  readonly withCards: boolean
  readonly palette: Palette
}

/** Draws what is inside `view`; the context is already transformed to the coordinates of the graph. */
export function drawOverview(context: CanvasRenderingContext2D, drawing: Drawing, view: Box, zoom: number): void {
  drawEdges(context, drawing, view, zoom)
  if (!drawing.withCards) return
  const { laidOut, session, palette } = drawing
  const shownAs =
    drawing.selected === undefined ? undefined : (laidOut.graph.standIns.get(drawing.selected) ?? drawing.selected)
  context.lineJoin = 'round'
  context.lineCap = 'round'
  context.font = `600 19px ${palette.font}`
  context.textBaseline = 'middle'
  laidOut.graph.items.forEach((item, index) => {
    const box = boxAt(laidOut.layout, index)
    if (!overlaps(box, view)) return
    const status = statusOfItem(item, session)
    drawCard(context, box, status, palette)
    if (zoom >= namesFrom)
      drawName(
        context,
        box,
        item.kind === 'node'
          ? drawing.names(item.id)
          : `${drawing.names(item.region.ownerId)} +${item.region.members.size}`,
        status,
        palette,
      )
    if (item.id === shownAs) outline(context, box, palette.accent, zoom)
  })
}

function drawEdges(
  context: CanvasRenderingContext2D,
  { edges, session, palette }: Drawing,
  view: Box,
  zoom: number,
): void {
  // One stroke for all edges of the same style: a stroke costs far more than a line in it.
  const lines: Record<EdgeLook, Path2D> = { ahead: new Path2D(), taken: new Path2D(), entering: new Path2D() }
  for (const edge of edges) if (overlaps(edge.box, view)) lines[lookOf(edge, session)].addPath(edge.line)
  context.lineWidth = Math.min(3, Math.max(1.5, 0.6 / zoom))
  const colours: Record<EdgeLook, string> = {
    ahead: palette.ghost,
    taken: palette.status.completed,
    entering: palette.status.running,
  }
  for (const look of ['ahead', 'taken', 'entering'] as const) {
    context.strokeStyle = colours[look]
    context.globalAlpha = look === 'entering' ? 0.9 : 0.45
    context.stroke(lines[look])
  }
  context.globalAlpha = 1
}

function drawCard(context: CanvasRenderingContext2D, [x, y]: Box, status: NodeStatus, palette: Palette): void {
  const { width, height } = nodeSize
  const colour = palette.status[status]
  context.fillStyle = palette.panel
  context.fillRect(x, y, width, height)
  context.fillStyle = colour
  context.globalAlpha = 0.2
  context.fillRect(x, y, width, height)
  context.globalAlpha = 1
  context.fillRect(x, y, 8, height)
  const { path, isFilled } = shapes[status]
  context.save()
  context.translate(x + 18, y + height / 2 - 12)
  context.scale(2, 2)
  if (isFilled) context.fill(path)
  else {
    context.strokeStyle = colour
    context.lineWidth = 2
    context.stroke(path)
  }
  context.restore()
}

function drawName(
  context: CanvasRenderingContext2D,
  [x, y]: Box,
  name: string,
  status: NodeStatus,
  palette: Palette,
): void {
  const room = nodeSize.width - 58
  const lines = linesOf(name, (text) => context.measureText(text).width <= room)
  context.fillStyle = status === 'pending' || status === 'skipped' ? palette.dim : palette.ink
  const middle = y + nodeSize.height / 2 + 1
  lines.forEach((line, at) => context.fillText(line, x + 52, middle + (at - (lines.length - 1) / 2) * lineHeight))
}

const lineHeight = 22

/** A name in at most two lines, broken between words where there are some; what is too long for that is cut. */
export function linesOf(name: string, fits: (text: string) => boolean): readonly string[] {
  if (fits(name)) return [name]
  const letters = [...name]
  let count = letters.length
  while (count > 1 && !fits(letters.slice(0, count).join(''))) count -= 1
  const space = letters.lastIndexOf(' ', count)
  const end = space > 0 ? space : count
  const rest = letters.slice(end).join('').trimStart()
  if (fits(rest)) return [letters.slice(0, end).join(''), rest]
  const left = [...rest]
  while (left.length > 1 && !fits(`${left.join('')}…`)) left.pop()
  return [letters.slice(0, end).join(''), `${left.join('')}…`]
}

function outline(context: CanvasRenderingContext2D, [x, y]: Box, colour: string, zoom: number): void {
  context.strokeStyle = colour
  context.lineWidth = Math.max(4, 2.5 / zoom)
  context.strokeRect(x - 4, y - 4, nodeSize.width + 8, nodeSize.height + 8)
}
