import type { GraphDefinition, WorkflowSession } from '@relive/types'
import { expect, test } from 'vitest'

import { instanceOf, instancesOf, nodeName } from './instances'

const node = (id: string) => ({ id, type: 'task', name: `Node ${id}` })
const graph: GraphDefinition = {
  name: 'g',
  startNodeId: 'a',
  nodes: { a: node('a'), 'a#b': node('a#b'), c: node('c') },
}
const state = (id: string, name?: string) => ({ id, status: 'running' as const, ...(name !== undefined && { name }) })
const nodes = {
  a: state('a', 'Node a'),
  'a#10': state('a#10', 'Node a'),
  'a#2': state('a#2', 'Node a'),
  'a#b': state('a#b', 'Node a#b'),
  'a#b#1': state('a#b#1'),
  'a#x': state('a#x', 'The odd one'),
}
const session = { nodes } as unknown as WorkflowSession

test('an instance belongs to the longest part that is a node', () => {
  expect(instanceOf('a#1', graph)).toEqual({ of: 'a', key: '1' })
  expect(instanceOf('a#b#1', graph)).toEqual({ of: 'a#b', key: '1' })
  expect(instanceOf('a#c#1', graph)).toEqual({ of: 'a', key: 'c#1' })
  for (const id of ['a', 'a#b', 'a#', '#1', 'x#1']) expect(instanceOf(id, graph), id).toBeUndefined()
  expect(instanceOf('a#1', null)).toBeUndefined()
})

test('instances are in the order of their keys', () => {
  expect(instancesOf('a', session, graph)).toEqual(['a#2', 'a#10', 'a#x'])
  expect(instancesOf('a#b', session, graph)).toEqual(['a#b#1'])
  expect(instancesOf('c', session, graph)).toEqual([])
})

test('instances of the same name are told apart', () => {
  const names = ['a', 'a#2', 'a#b#1', 'a#x', 'c', 'c#1', 'gone'].map((id) => nodeName(id, session, graph))
  expect(names).toEqual(['Node a', 'Node a #2', 'Node a#b #1', 'The odd one', 'Node c', 'Node c #1', 'gone'])
})
