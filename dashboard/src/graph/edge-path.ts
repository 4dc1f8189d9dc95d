import { type Layout, nodeSize } from './placement'

type Point = readonly [number, number]

/** The path of each edge, in the order of the layout's edges. */
export function edgePath(layout: Layout, at: number, from: number, to: number): string {
  const [source, target] = [layout.positions[from], layout.positions[to]]
  if (source === undefined || target === undefined) return ''
  const route = layout.routes?.[at]
  if (route !== undefined) return route
  const bends = layout.bends[at] ?? []
  if (layout.outside?.has(at) === true && bends.length >= 2) return aroundCorners(bends)
  const [start, end] = ports(source, target, layout.direction)
  const isOnward = layout.direction === 'LR' ? start[0] < end[0] : start[1] < end[1]
  if (!isOnward && bends.length >= 2) return throughBends(bends)
  // The first and the last bend are where a straight line would leave and enter; here it is the
  // middle of a side.
  return alongAxis([start, ...bends.slice(1, -1), end], layout.direction)
}

/** Straight from bend to bend, rounded at each. */
function aroundCorners(bends: readonly Point[]): string {
  let path = `M${at(bends[0] as Point)}`
  for (let index = 1; index < bends.length - 1; index += 1) {
    const [before, corner, after] = [bends[index - 1], bends[index], bends[index + 1]] as [Point, Point, Point]
    const radius = Math.min(10, lengthOf(before, corner) / 2, lengthOf(corner, after) / 2)
    path += `L${at(towards(corner, before, radius))}Q${at(corner)} ${at(towards(corner, after, radius))}`
  }
  return `${path}L${at(bends[bends.length - 1] as Point)}`
}

function lengthOf([x1, y1]: Point, [x2, y2]: Point): number {
  return Math.hypot(x2 - x1, y2 - y1)
}

function towards(from: Point, to: Point, by: number): Point {
  const share = by / Math.max(1, lengthOf(from, to))
  return [from[0] + (to[0] - from[0]) * share, from[1] + (to[1] - from[1]) * share]
}

/** Rounded at every bend: straight to the middle between two bends, with a curve at each. */
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

/** Where an edge leaves its source and enters its target. */
function ports([sx, sy]: Point, [tx, ty]: Point, direction: Layout['direction']): readonly [Point, Point] {
  const { width, height } = nodeSize
  return direction === 'LR'
    ? [
        [sx + width, sy + height / 2],
        [tx, ty + height / 2],
      ]
    : [
        [sx + width / 2, sy + height],
        [tx + width / 2, ty],
      ]
}

/** A curve through all points that leaves and enters each in the direction of the layout. */
function alongAxis(points: readonly Point[], direction: Layout['direction']): string {
  let path = `M${at(points[0] as Point)}`
  for (let index = 1; index < points.length; index += 1) {
    const [[x1, y1], [x2, y2]] = [points[index - 1] as Point, points[index] as Point]
    if (direction === 'LR') {
      const pull = Math.max(18, Math.abs(x2 - x1) / 2)
      path += `C${at([x1 + pull, y1])} ${at([x2 - pull, y2])} ${at([x2, y2])}`
    } else {
      const pull = Math.max(18, Math.abs(y2 - y1) / 2)
      path += `C${at([x1, y1 + pull])} ${at([x2, y2 - pull])} ${at([x2, y2])}`
    }
  }
  return path
}

function at([x, y]: Point): string {
  return `${Math.round(x * 10) / 10} ${Math.round(y * 10) / 10}`
}
