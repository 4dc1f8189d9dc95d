import { expect, test } from 'vitest'

import { layOut } from './layout'
import { boundsOf, type LayoutRequest, nodeSize } from './placement'

const space = { width: 800, height: 600 }

function request(edges: [number, number][], count: number, more: Partial<LayoutRequest> = {}): LayoutRequest {
  return { ids: Array.from({ length: count }, (_, index) => `n${index}`), edges, direction: 'LR', space, ...more }
}

function overlapping(positions: readonly (readonly [number, number])[]): number {
  let count = 0
  positions.forEach(([x1, y1], a) =>
    positions.slice(a + 1).forEach(([x2, y2]) => {
      if (Math.abs(x1 - x2) < nodeSize.width && Math.abs(y1 - y2) < nodeSize.height) count += 1
    }),
  )
  return count
}

test('a node stands as early as it can run, not beside the end that waits for it', () => {
  // 0 → 1 → 2 → 4, 0 → 3 → 4: the 3 waits for nothing but the 0, as the 1.
  const { positions } = layOut(
    request(
      [
        [0, 1],
        [1, 2],
        [2, 4],
        [0, 3],
        [3, 4],
      ],
      5,
    ),
  )
  expect(positions[3]?.[0]).toBe(positions[1]?.[0])
})

test('an edge that leads back does not stretch the graph', () => {
  const chain: [number, number][] = [
    [0, 1],
    [1, 2],
    [2, 3],
  ]
  const { positions } = layOut(request([...chain, [3, 1]], 4))
  const gaps = [1, 2, 3].map((index) => (positions[index]?.[0] ?? 0) - (positions[index - 1]?.[0] ?? 0))
  expect(new Set(gaps.map(Math.round)).size).toBe(1)
})

test('the direction is the one that shows larger', () => {
  const wide = Array.from({ length: 12 }, (_, index): [number, number] => [0, index + 1])
  expect(layOut(request(wide, 13, { direction: 'auto', space: { width: 500, height: 1200 } })).direction).toBe('LR')
  const long = Array.from({ length: 12 }, (_, index): [number, number] => [index, index + 1])
  expect(layOut(request(long, 13, { direction: 'auto', space: { width: 500, height: 1200 } })).direction).toBe('TB')
})

test('a long chain is broken into rows, and shown larger for it', () => {
  const long = Array.from({ length: 39 }, (_, index): [number, number] => [index, index + 1])
  const layout = layOut(request([...long, [39, 0]], 40, { direction: 'auto' }))
  expect(overlapping(layout.positions)).toBe(0)
  expect(Math.min(space.width / layout.size.width, space.height / layout.size.height)).toBeGreaterThan(0.4)
  // Edges within a row follow their bends; those to another row have a way of their own.
  const routes = layout.routes ?? []
  const others = routes.filter((route) => route !== undefined)
  expect(others.length).toBeGreaterThan(3)
  expect(others.length).toBeLessThan(12)
})

test('what is broken into rows reaches no further than its rows, its edges included', () => {
  const long = Array.from({ length: 39 }, (_, index): [number, number] => [index, index + 1])
  const layout = layOut(request([...long, [39, 0], [30, 2]], 40))
  expect(layout.routes?.some((route) => route !== undefined)).toBe(true)
  const { width, height } = boundsOf(layout)
  // The edges run a little to the left and right of the nodes, and above the first row.
  expect(width).toBeLessThanOrEqual(layout.size.width + 1)
  expect(height).toBeLessThanOrEqual(layout.size.height + 60)
})

test('no two nodes lie on each other, in small graphs, large ones and those without edges', () => {
  const tree = (count: number) =>
    Array.from({ length: count - 1 }, (_, index): [number, number] => [Math.floor(index / 4), index + 1])
  for (const count of [60, 900]) {
    const layout = layOut(request(tree(count), count))
    expect(overlapping(layout.positions)).toBe(0)
    const { width, height } = boundsOf(layout)
    expect(width).toBeGreaterThan(nodeSize.width)
    expect(height).toBeGreaterThan(nodeSize.height)
  }
  expect(overlapping(layOut(request([], 50)).positions)).toBe(0)
})

test('cycles among thousands are laid out as well', () => {
  const ring = Array.from({ length: 3000 }, (_, index): [number, number] => [index, (index + 1) % 3000])
  expect(layOut(request(ring, 3000)).positions).toHaveLength(3000)
})

/** The positions across the layout. */
const crossOf = (positions: readonly (readonly [number, number])[], nodes: readonly number[], axis: 0 | 1) =>
  nodes.map((node) => Math.round(positions[node]?.[axis] ?? Number.NaN))

test('what every way leads through stands on one line, past loops, branches and dead ends', () => {
  // 0 → 1 → (2, 3) → 4 → 5 → 6 → 8 → 9; 5 leads back to 1 and 9 to itself, 6 → 9 passes over 8, and 7 is a dead end.
  const edges: [number, number][] = [
    [0, 1],
    [1, 2],
    [1, 3],
    [2, 4],
    [3, 4],
    [4, 5],
    [5, 1],
    [1, 7],
    [5, 6],
    [6, 8],
    [6, 9],
    [8, 9],
    [9, 9],
  ]
  for (const [direction, axis] of [
    ['LR', 1],
    ['TB', 0],
  ] as const) {
    const layout = layOut(request(edges, 10, { direction, space: { width: 4000, height: 4000 } }))
    expect(new Set(crossOf(layout.positions, [0, 1, 4, 5, 6, 8, 9], axis)).size).toBe(1)
    expect(overlapping(layout.positions)).toBe(0)
    // The edge back runs below everything it passes, the one over a chain above it.
    const beside = (at: number) => layout.bends[at]?.[1]?.[axis] ?? Number.NaN
    const passed = crossOf(layout.positions, [1, 2, 3, 4, 5, 7], axis)
    expect(beside(6)).toBeGreaterThan(Math.max(...passed) + (axis === 1 ? nodeSize.height : nodeSize.width))
    expect(beside(10)).toBeLessThan(Math.min(...crossOf(layout.positions, [6, 8, 9], axis)))
    expect([...(layout.outside ?? [])].sort((a, b) => a - b)).toEqual([6, 10, 12])
  }
})

test('loops inside a loop have their edges at different distances', () => {
  const layout = layOut(
    request(
      [
        [0, 1],
        [1, 2],
        [2, 1],
        [2, 3],
        [3, 0],
      ],
      4,
      { space: { width: 4000, height: 4000 } },
    ),
  )
  const [inner, outer] = [layout.bends[2]?.[1]?.[1] ?? 0, layout.bends[4]?.[1]?.[1] ?? 0]
  expect(outer).toBeGreaterThan(inner + 10)
})

test('nodes between the same neighbours are in the order of their definition', () => {
  const count = 7
  const fork = Array.from({ length: count }, (_, index): [number, number][] => [
    [0, index + 1],
    [index + 1, count + 1],
  ]).flat()
  // The order of the edges is not theirs.
  const { positions } = layOut(request([...fork].reverse(), count + 2, { space: { width: 4000, height: 4000 } }))
  const inOrder = crossOf(positions, [1, 2, 3, 4, 5, 6, 7], 1)
  expect(inOrder).toEqual([...inOrder].sort((a, b) => a - b))
  expect(overlapping(positions)).toBe(0)
})

test('a wide fan is broken into rows in the order of its definition, and shown larger for it', () => {
  const count = 60
  const fan = Array.from({ length: count }, (_, index): [number, number][] => [
    [0, index + 1],
    [index + 1, count + 1],
  ]).flat()
  for (const direction of ['LR', 'TB', 'auto'] as const) {
    const layout = layOut(request(fan, count + 2, { direction }))
    expect(overlapping(layout.positions)).toBe(0)
    const zoom = Math.min(space.width / layout.size.width, space.height / layout.size.height)
    expect(zoom).toBeGreaterThan(0.4)
    const places = Array.from({ length: count }, (_, index) => layout.positions[index + 1] ?? [0, 0])
    const asRead = [...places].sort((a, b) => a[1] - b[1] || a[0] - b[0])
    expect(places).toEqual(asRead)
  }
})

test('branches of different lengths are in the order of their definition, too', () => {
  // Those of examples/engine-tour.json: two of two steps, and one of one.
  const edges: [number, number][] = [
    [0, 1],
    [0, 2],
    [0, 3],
    [1, 4],
    [4, 6],
    [2, 5],
    [5, 6],
    [3, 6],
  ]
  for (const [direction, axis] of [
    ['LR', 1],
    ['TB', 0],
  ] as const) {
    const { positions } = layOut(request(edges, 7, { direction, space: { width: 4000, height: 4000 } }))
    const inOrder = crossOf(positions, [1, 2, 3], axis)
    expect(inOrder).toEqual([...inOrder].sort((a, b) => a - b))
  }
})
