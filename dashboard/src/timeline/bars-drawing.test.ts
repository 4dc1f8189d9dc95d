import type { NodeStatus } from '@relive/types'
import { expect, test } from 'vitest'

import { axisOf } from './axis'
import { type BarPlace, barAt, drawLane, extentOf, type Surface } from './bars-drawing'
import { type Bar, noLanes } from './lanes'
import { wholeOf } from './span'

const statuses = { completed: 'green', failed: 'red', running: 'blue', suspended: 'amber' }
const colours = { status: statuses as Record<NodeStatus, string>, ink: 'black' }
const axis = axisOf({ start: 0, now: 1000, end: 1000, lanes: noLanes }, { by: 'time', shortensIdle: true })
const whole: BarPlace = { axis, span: wholeOf(axis), width: 100, now: 900 }

function drawn(bars: readonly Bar[], place: Partial<BarPlace> = {}) {
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
  drawLane(surface, { id: 'a', bars }, 0, { ...whole, ...place }, colours)
  return { boxes, strokes: () => strokes }
}

const bar = (from: number, to: number | undefined, status: Bar['status'] = 'completed'): Bar => ({
  from,
  to,
  attempt: 1,
  during: status === 'suspended' ? 'suspended' : 'running',
  status,
  revision: 1,
  endRevision: 2,
})

test('a bar is as long as it lasted, one that lasts reaches to now, and none is too short to be seen', () => {
  const { boxes } = drawn([bar(0, 100), bar(200, 200, 'failed'), bar(500, undefined, 'running')])
  expect(boxes).toEqual([
    ['green', 0, 10],
    ['red', 20, 3],
    ['blue', 50, 40],
  ])
})

test('what was short at the very end is drawn before it, not beyond the edge', () => {
  expect(drawn([bar(1000, 1000)]).boxes).toEqual([['green', 97, 3]])
  expect(barAt({ id: 'a', bars: [bar(1000, 1000)] }, 98, whole)?.from).toBe(1000)
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

test('only what is in view is drawn, and nothing is drawn far beside it', () => {
  const bars = [bar(0, 100), bar(200, 400), bar(410, 900), bar(950, 960)]
  const { boxes } = drawn(bars, { span: { from: 300, to: 500 }, width: 1000 })
  expect(boxes).toEqual([
    ['green', -12, 512],
    ['green', 550, 462],
  ])
})

test('a pointer finds the bar that it is on, or else the nearest, but none far away', () => {
  const bars = [bar(100, 200), bar(230, 230, 'failed'), bar(500, undefined, 'running')]
  const at = (x: number) => barAt({ id: 'a', bars }, x, whole)
  expect(at(15)).toBe(bars[0])
  expect(at(20.5)).toBe(bars[0])
  expect(at(24)).toBe(bars[1])
  expect(at(40)).toBeUndefined()
  expect(at(89)).toBe(bars[2])
  expect(extentOf(bar(230, 230), whole)).toEqual([23, 26])
})
