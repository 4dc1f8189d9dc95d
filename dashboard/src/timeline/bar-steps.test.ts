import { expect, test } from 'vitest'

import { findBar, nameOf, nearest, type Step, stepped } from './bar-steps'
import { barOf } from './test-bars'

const row = (id: string, ...bars: [number, number][]) => ({
  lane: { id, bars: bars.map(([from, to]) => barOf(from, to)) },
  depth: 0,
  inside: 0,
})
const lanes = [row('a', [0, 10], [20, 30], [40, 50]), row('b', [12, 19], [22, 60]), row('c', [100, 110])]

/** Where the keys lead from the middle bar of the first lane. */
function walk(...steps: Step[]): string {
  let at = nearest(lanes, 0, 25)
  for (const step of steps) at = at && stepped(lanes, at, step)
  return at === undefined ? 'nowhere' : `${at.lane.id} ${at.bar.from}`
}

test('left and right stay in the lane, and stop at its ends', () => {
  expect(walk()).toBe('a 20')
  expect(walk('right')).toBe('a 40')
  expect(walk('right', 'right')).toBe('a 40')
  expect(walk('left', 'left')).toBe('a 0')
  expect(walk('last')).toBe('a 40')
  expect(walk('last', 'first')).toBe('a 0')
})

test('up and down lead to the bar that is nearest in time', () => {
  expect(walk('down')).toBe('b 12')
  expect(walk('right', 'down')).toBe('b 22')
  expect(walk('down', 'down', 'down')).toBe('c 100')
  expect(walk('down', 'down', 'up')).toBe('b 22')
  expect(walk('up')).toBe('a 20')
})

test('a bar is found again after others were added and dropped before it', () => {
  const name = nameOf('b', barOf(22, undefined))
  expect(findBar(lanes, name)).toMatchObject({ row: 1, index: 1 })
  expect(findBar([row('b', [22, 60])], name)).toMatchObject({ row: 0, index: 0 })
  expect(findBar([row('a', [22, 60])], name)).toBeUndefined()
  expect(findBar(lanes, undefined)).toBeUndefined()
})
