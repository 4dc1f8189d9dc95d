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
