import type { Item } from './fold'
import type { LaidOut } from './laid-out'
import { type Box, nodeSize } from './placement'

export type { Box } from './placement'

/** The visible part moves in steps of this many screen pixels; within a step nothing is recomputed. */
const step = 200

interface Viewport {
  readonly transform: readonly [x: number, y: number, zoom: number]
  readonly width: number
  readonly height: number
}

/** The visible part with a margin of up to one step, as a text that is the same within a step. */
export function viewKey({ transform: [x, y, zoom], width, height }: Viewport): string {
  const cell = step / zoom
  const edges = [-x / zoom / cell, -y / zoom / cell, (width - x) / zoom / cell, (height - y) / zoom / cell]
  return edges.map((edge, index) => Math.round((index < 2 ? Math.floor(edge) : Math.ceil(edge)) * cell)).join(' ')
}

export function readView(key: string): Box {
  const [left = 0, top = 0, right = 0, bottom = 0] = key.split(' ').map(Number)
  return [left, top, right, bottom]
}

export function overlaps(a: Box, b: Box): boolean {
  return a[2] >= b[0] && a[0] <= b[2] && a[3] >= b[1] && a[1] <= b[3]
}

export function boxAt(layout: LaidOut['layout'], index: number): Box {
  const [x, y] = layout.positions[index] ?? [0, 0]
  return [x, y, x + nodeSize.width, y + nodeSize.height]
}

/** The item at a point of the graph. */
export function itemAt({ graph, layout }: LaidOut, x: number, y: number): Item | undefined {
  return graph.items.find((_, index) => overlaps(boxAt(layout, index), [x, y, x, y]))
}
