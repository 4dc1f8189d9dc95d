import type { NodeStatus } from '@relive/types'
import { expect, test } from 'vitest'

import { drawLane, type Surface } from './bars-drawing'
import type { Bar } from './lanes'

const colours = { status: { completed: 'green', failed: 'red', running: 'blue', suspended: 'amber' } } as {
  status: Record<NodeStatus, string>
}

function drawn(bars: readonly Bar[], width = 100) {
  const boxes: [string, number, number][] = []
  let strokes = 0
  const surface = {
    fillStyle: '',
    fillRect: (x: number, _y: number, w: number) => boxes.push([String(surface.fillStyle), x, w]),
    roundRect: (x: number, _y: number, w: number) => boxes.push([String(surface.fillStyle), x, w]),
    beginPath: () => {},
    fill: () => {},
    stroke: () => (strokes += 1),
    setLineDash: () => {},
    moveTo: () => {},
    lineTo: () => {},
  } as unknown as Surface & { fillStyle: string }
  drawLane(surface, { id: 'a', bars }, 0, { domain: { start: 0, end: 1000 }, width, now: 900 }, colours)
  return { boxes, strokes: () => strokes }
}

const bar = (from: number, to: number | undefined, status: Bar['status'] = 'completed'): Bar => ({
  from,
  to,
  attempt: 1,
  during: status === 'suspended' ? 'suspended' : 'running',
  status,
  revision: 1,
})

test('a bar is as long as it lasted, one that lasts reaches to now, and none is too short to be seen', () => {
  const { boxes } = drawn([bar(0, 100), bar(200, 200, 'failed'), bar(500, undefined, 'running')])
  expect(boxes).toEqual([
    ['green', 0, 10],
    ['red', 20, 3],
    ['blue', 50, 40],
  ])
})

test('waits have a border and failures a cross', () => {
  expect(drawn([bar(0, 100)]).strokes()).toBe(0)
  expect(drawn([bar(0, 100, 'suspended')]).strokes()).toBe(1)
  expect(drawn([bar(0, 100, 'failed')]).strokes()).toBe(1)
})

test('of two thousand rounds, no more are drawn than there is room for, and every failure is', () => {
  const rounds = Array.from({ length: 2000 }, (_, n) => bar(n / 2, n / 2 + 0.4, n === 1000 ? 'failed' : 'completed'))
  const { boxes } = drawn(rounds)
  expect(boxes.length).toBeLessThan(110)
  expect(boxes.filter(([colour]) => colour === 'red')).toHaveLength(1)
})
