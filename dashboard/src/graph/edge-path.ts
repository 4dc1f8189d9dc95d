import { nodeSize, type Layout } from './layout'

type Point = readonly [number, number]

/** The line of each edge, in the order of the layout's edges. */
export function edgePath(layout: Layout, at: number, from: number, to: number): string {
  const bends = layout.bends[at]
  if (bends !== undefined && bends.length >= 2) return throughBends(bends)
  const [source, target] = [layout.positions[from], layout.positions[to]]
  if (source === undefined || target === undefined) return ''
  return between(source, target, layout.direction)
}

/** Rounded at every bend: straight to the middle between two, and a curve from there to the next. */
function throughBends(bends: readonly Point[]): string {
  const first = bends[0] as Point
  const last = bends[bends.length - 1] as Point
  let path = `M${at(first)}`
  for (let index = 1; index < bends.length - 1; index += 1) {
    const bend = bends[index] as Point
    const next = bends[index + 1] as Point
    const end: Point = index === bends.length - 2 ? last : [(bend[0] + next[0]) / 2, (bend[1] + next[1]) / 2]
    path += `Q${at(bend)} ${at(end)}`
  }
  return bends.length === 2 ? `${path}L${at(last)}` : path
}

/** From one side to the other, or around the outside where the edge leads back. */
function between([sx, sy]: Point, [tx, ty]: Point, direction: Layout['direction']): string {
  const { width, height } = nodeSize
  if (direction === 'LR') {
    const [x1, y1, x2, y2] = [sx + width, sy + height / 2, tx, ty + height / 2]
    const pull = Math.max(28, Math.abs(x2 - x1) / 2)
    return `M${at([x1, y1])}C${at([x1 + pull, y1])} ${at([x2 - pull, y2])} ${at([x2, y2])}`
  }
  const [x1, y1, x2, y2] = [sx + width / 2, sy + height, tx + width / 2, ty]
  const pull = Math.max(24, Math.abs(y2 - y1) / 2)
  return `M${at([x1, y1])}C${at([x1, y1 + pull])} ${at([x2, y2 - pull])} ${at([x2, y2])}`
}

function at([x, y]: Point): string {
  return `${Math.round(x * 10) / 10} ${Math.round(y * 10) / 10}`
}
