import type { NodeFigures } from '@relive/types'
import { expect, test } from 'vitest'

import { differencesOf, mergedGraph, rowsOf } from './differences'

const node = (more: Partial<NodeFigures> = {}): NodeFigures => ({
  status: 'completed',
  attempts: 1,
  inputTokens: 0,
  outputTokens: 0,
  ...more,
})

test('a node differs by what it did, not by how long that took', () => {
  expect(
    differencesOf({ from: node({ durationMs: 1 }), to: node({ durationMs: 2, inputTokens: 9 }), outputEqual: true }),
  ).toEqual([])
  expect(differencesOf({ from: node(), to: node({ status: 'failed', attempts: 2 }), outputEqual: false })).toEqual([
    'status',
    'output',
    'attempts',
  ])
  expect(differencesOf({ from: node() })).toEqual(['onlyA'])
  expect(differencesOf({ to: node() })).toEqual(['onlyB'])
})

test('nodes stand in the order in which they began, whichever run they are of', () => {
  const at = (second: number, day = 1) => ({ startedAt: `2026-01-0${day}T00:00:0${second}.000Z` })
  const rows = rowsOf(
    { nodes: { a: { from: node() }, b: { to: node() }, c: { from: node(), to: node() }, d: { from: node() } } },
    { a: at(5), c: at(0), d: {} },
    { b: at(3, 2), c: at(1, 2) },
    (id) => id.toUpperCase(),
  )
  expect(rows.map(({ name }) => name)).toEqual(['C', 'B', 'A', 'D'])
})

test('the merged graph has the nodes and the edges of both', () => {
  const graph = (nodes: Record<string, string[]>) => ({
    name: 'g',
    startNodeId: 'a',
    nodes: Object.fromEntries(Object.entries(nodes).map(([id, nextIds]) => [id, { id, type: 't', name: id, nextIds }])),
  })
  const merged = mergedGraph(graph({ a: ['b'], b: [] }), graph({ a: ['c'], c: [] }))
  expect(Object.entries(merged?.nodes ?? {}).map(([id, { nextIds }]) => [id, nextIds])).toEqual([
    ['a', ['b', 'c']],
    ['b', []],
    ['c', []],
  ])
  expect(mergedGraph(null, null)).toBeUndefined()
})
