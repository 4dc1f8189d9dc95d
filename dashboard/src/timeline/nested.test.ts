import type { NodeStateSnapshot } from '@relive/types'
import { expect, test } from 'vitest'

import { foldsAround, nest, unfolded } from './nested'

const lane = (id: string) => ({ id, bars: [] })

function nodes(parents: Record<string, string | undefined>): Record<string, NodeStateSnapshot> {
  const node = ([id, parentNodeId]: [string, string | undefined]): [string, NodeStateSnapshot] => [
    id,
    { id, status: 'running', ...(parentNodeId !== undefined && { parentNodeId }) },
  ]
  return Object.fromEntries(Object.entries(parents).map(node))
}

const shown = (ids: string[], parents: Record<string, string | undefined>) =>
  nest(ids.map(lane), nodes(parents)).map(({ lane: { id }, depth }) => `${id} ${depth}`)

test('steps stand below the node that they are inside of, in their own order', () => {
  const parents = { a: undefined, b: undefined, a1: 'a', a2: 'a', a11: 'a1' }
  expect(shown(['a', 'b', 'a2', 'a1', 'a11'], parents)).toEqual(['a 0', 'a2 1', 'a1 1', 'a11 2', 'b 0'])
})

test('a parent without a lane is passed over', () => {
  expect(shown(['a', 'deep'], { a: undefined, mid: 'a', deep: 'mid' })).toEqual(['a 0', 'deep 1'])
  expect(shown(['deep', 'x'], { mid: undefined, deep: 'mid', x: undefined })).toEqual(['deep 0', 'x 0'])
})

test('ten thousand lanes are put in order at once', () => {
  const ids = Array.from({ length: 10_000 }, (_, index) => `n${index}`)
  const parents = Object.fromEntries(ids.map((id, index) => [id, index === 0 ? undefined : `n${(index / 10) | 0}`]))
  expect(nest(ids.map(lane), nodes(parents)).length).toBe(10_000)
})

test('a folded lane hides all that is below it, and says how much that is', () => {
  const parents = { a: undefined, a1: 'a', a11: 'a1', a12: 'a1', a2: 'a', b: undefined, b1: 'b' }
  const lanes = nest(Object.keys(parents).map(lane), nodes(parents))
  expect(lanes.map(({ lane: { id }, inside }) => `${id} ${inside}`)).toEqual([
    'a 4',
    'a1 2',
    'a11 0',
    'a12 0',
    'a2 0',
    'b 1',
    'b1 0',
  ])
  const ids = (...folded: string[]) => unfolded(lanes, new Set(folded)).map(({ lane: { id } }) => id)
  expect(ids('a1')).toEqual(['a', 'a1', 'a2', 'b', 'b1'])
  expect(ids('a', 'a1', 'b')).toEqual(['a', 'b'])
  expect(ids('gone')).toHaveLength(7)
  expect(foldsAround(lanes, new Set(['a', 'a1', 'b']), 'a12')).toEqual(['a', 'a1'])
  expect(foldsAround(lanes, new Set(['a', 'a1', 'b']), 'a2')).toEqual(['a'])
  expect(foldsAround(lanes, new Set(['a1']), 'a1')).toEqual([])
})
