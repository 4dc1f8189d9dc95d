import type { GraphDefinition } from '@relive/types'
import { expect, test } from 'vitest'

import { labelOf } from './edge-labels'
import type { Item } from './fold'

const words = { again: 'again', exit: 'exit', yes: 'then', no: 'else', default: 'default' }
const node = (id: string): Item => ({ kind: 'node', id })
const fold = (...members: string[]): Item => ({
  kind: 'fold',
  id: 'fold x',
  region: { id: 'x', kind: 'loop', ownerId: 'l', members: new Set(members) },
})
const graph: GraphDefinition = {
  name: 'g',
  startNodeId: 'l',
  nodes: {
    l: { id: 'l', type: 'loop', name: 'L', nextIds: ['a', 'i'] },
    i: { id: 'i', type: 'if', name: 'I', nextIds: ['a', 's'] },
    s: {
      id: 's',
      type: 'switch',
      name: 'S',
      nextIds: ['a', 'b', 'c'],
      properties: { cases: [{ when: '{{ inputs.kind == "x" }}', to: 'a' }], default: 'b', edgeLabels: { c: 'given' } },
    },
    p: { id: 'p', type: 'parallel', name: 'P', nextIds: ['a', 'b'] },
  },
}

test('edges are called by the graph, or by what the type of their node makes of them', () => {
  const label = (from: string, to: Item) => labelOf(graph, node(from), to, words)
  expect([label('l', node('a')), label('l', node('i'))]).toEqual(['again', 'exit'])
  expect([label('i', node('a')), label('i', node('s'))]).toEqual(['then', 'else'])
  expect([label('s', node('a')), label('s', node('b')), label('s', node('c'))]).toEqual([
    'inputs.kind == "x"',
    'default',
    'given',
  ])
  expect([label('p', node('a')), label('a', node('b'))]).toEqual([undefined, undefined])
})

test('an edge into a folded part is called as the one that leads into it, if it is one', () => {
  expect(labelOf(graph, node('l'), fold('a', 'x'), words)).toBe('again')
  expect(labelOf(graph, node('l'), fold('a', 'i'), words)).toBeUndefined()
  expect(labelOf(graph, fold('a'), node('l'), words)).toBeUndefined()
})
