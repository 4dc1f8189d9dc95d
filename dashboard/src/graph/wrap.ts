import { type Layout, type LayoutRequest, nodeSize } from './placement'

/** The gap between two rows, in which the edges between them run. */
const rowGap = 52
/** Layouts that are readable as they are stay unchanged. */
const wrapBelow = 0.5
const rowsAtMost = 24

type Point = readonly [number, number]

/**
 * Breaks a long layout from left to right into rows, like a text, if that makes it larger on the screen. A
 * chain of forty steps would otherwise be too small to read.
 */
export function wrapped(layout: Layout, { space, edges }: LayoutRequest): Layout {
  const zoom = (size: Layout['size']) => Math.min(1, space.width / size.width, space.height / size.height)
  if (layout.direction !== 'LR' || (layout.blocks ?? 0) > 0 || zoom(layout.size) >= wrapBelow) return layout
  const columns = [...new Set(layout.positions.map(([x]) => Math.round(x)))].sort((a, b) => a - b)
  let best: Plan | undefined
  for (let rows = 2; rows <= Math.min(rowsAtMost, columns.length); rows += 1) {
    const plan = planRows(columns, rows, layout.size.height)
    if (zoom(plan.size) > zoom(best?.size ?? layout.size) * 1.05) best = plan
  }
  return best === undefined ? layout : placed(layout, edges, best)
}

interface Plan {
  /** The x position of each row's beginning in the long layout. */
  readonly starts: readonly number[]
  readonly rowHeight: number
  readonly size: Layout['size']
}

function planRows(columns: readonly number[], rows: number, height: number): Plan {
  const perRow = Math.ceil(columns.length / rows)
  const starts = columns.filter((_, index) => index % perRow === 0)
  const ends = starts.map((_, row) => columns[Math.min(columns.length, (row + 1) * perRow) - 1] ?? 0)
  const width = Math.max(...starts.map((start, row) => (ends[row] ?? start) + nodeSize.width - start))
  const rowHeight = height + rowGap
  return { starts, rowHeight, size: { width: width + 2 * turn, height: starts.length * rowHeight - rowGap } }
}

/** The distance from a node at which an edge turns. */
const turn = 18

function placed(layout: Layout, edges: LayoutRequest['edges'], { starts, rowHeight, size }: Plan): Layout {
  const rowOf = (x: number) =>
    Math.max(
      0,
      starts.findLastIndex((start) => start <= Math.round(x)),
    )
  const move = ([x, y]: Point, row: number): Point => [x - (starts[row] ?? 0), y + row * rowHeight]
  const positions = layout.positions.map((position) => move(position, rowOf(position[0])))
  const corners = edges.map(([from, to], index): Corners | undefined => {
    const [source, target] = [layout.positions[from], layout.positions[to]]
    if (source === undefined || target === undefined) return undefined
    const [fromRow, toRow] = [rowOf(source[0]), rowOf(target[0])]
    return fromRow === toRow
      ? undefined
      : betweenRows(positions[from] ?? source, positions[to] ?? target, toRow * rowHeight, index)
  })
  const bends = layout.bends.map((points, index) => {
    // For an edge between two rows, the bends of the long layout are meaningless.
    const turned = corners[index]
    if (turned !== undefined) return turned
    const row = rowOf(layout.positions[edges[index]?.[0] ?? 0]?.[0] ?? 0)
    return points.map((point) => move(point, row))
  })
  const rows = layout.positions.map(([x]) => rowOf(x))
  return { ...layout, positions, bends, rows, routes: corners.map((turned) => turned && rounded(turned)), size }
}

/** The four corners between the source's side and the target's. */
type Corners = readonly [start: Point, Point, Point, Point, Point, end: Point]

/** To the right, down or up to the gap above the other row, back, and in from the left. */
function betweenRows(source: Point, target: Point, top: number, index: number): Corners {
  const { width, height } = nodeSize
  const [x1, y1, x2, y2] = [source[0] + width, source[1] + height / 2, target[0], target[1] + height / 2]
  // Several edges share a gap; an offset of a few pixels keeps them apart.
  const gap = top - rowGap / 2 + ((index % 5) - 2) * 4
  const [right, left] = [x1 + turn, x2 - turn]
  return [
    [x1, y1],
    [right, y1],
    [right, gap],
    [left, gap],
    [left, y2],
    [x2, y2],
  ]
}

function rounded([[x1, y1], [right], [, gap], [left], , [x2, y2]]: Corners): string {
  const r = 9
  const down = gap > y1 ? 1 : -1
  const into = y2 > gap ? 1 : -1
  return [
    `M${x1} ${y1}H${right - r}Q${right} ${y1} ${right} ${y1 + r * down}`,
    `V${gap - r * down}Q${right} ${gap} ${right - r} ${gap}`,
    `H${left + r}Q${left} ${gap} ${left} ${gap + r * into}`,
    `V${y2 - r * into}Q${left} ${y2} ${left + r} ${y2}H${x2}`,
  ].join('')
}
