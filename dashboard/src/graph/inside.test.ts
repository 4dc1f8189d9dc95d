import type { WorkflowSession } from '@relive/types'
import { expect, test } from 'vitest'

import { placeInside, roomFor, stepsInside } from './inside'
import { nodeSize } from './placement'

const session = (nodes: Record<string, { parentNodeId?: string; startedAt?: string }>) =>
  ({
    nodes: Object.fromEntries(Object.entries(nodes).map(([id, node]) => [id, { id, ...node }])),
  }) as unknown as WorkflowSession

test('the steps of a node come in the order in which they began, each before its own', () => {
  const run = session({
    a: {},
    late: { parentNodeId: 'a', startedAt: '2026-01-01T00:00:02Z' },
    early: { parentNodeId: 'a', startedAt: '2026-01-01T00:00:01Z' },
    deep: { parentNodeId: 'early', startedAt: '2026-01-01T00:00:03Z' },
    other: { parentNodeId: 'b' },
  })
  expect(stepsInside('a', run)).toEqual(['early', 'deep', 'late'])
  expect(stepsInside('late', run)).toEqual([])
  expect(stepsInside('a', undefined)).toEqual([])
})

test('what is inside of a node lies within its room, and nothing on anything', () => {
  for (const count of [1, 2, 5, 17]) {
    const { width, height } = roomFor(count)
    const places = Array.from({ length: count }, (_, at) => placeInside(count, at))
    for (const [x, y] of places) {
      expect(x).toBeGreaterThan(0)
      expect(y).toBeGreaterThanOrEqual(nodeSize.height)
      expect(x + nodeSize.width).toBeLessThan(width)
      expect(y + nodeSize.height).toBeLessThan(height)
    }
    expect(new Set(places.map((place) => place.join())).size).toBe(count)
  }
})
