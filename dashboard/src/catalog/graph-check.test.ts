import { expect, test } from 'vitest'

import { checkGraph } from './graph-check'

const written = (value: unknown) => checkGraph(JSON.stringify(value))
const node = (id: string, ...nextIds: unknown[]) => ({ id, type: 'delay', name: id.toUpperCase(), nextIds })

test('a graph is read in either notation', () => {
  const { graph } = written({
    name: 'g',
    startNodeId: 'a',
    nodes: { a: node('a', { to: 'b', label: 'yes' }), b: node('b') },
  }) as never as {
    graph: { nodes: Record<string, { nextIds: string[]; properties: object }> }
  }
  expect(graph.nodes['a']).toMatchObject({ nextIds: ['b'], properties: { edgeLabels: { b: 'yes' } } })
  expect(written({ start_node_id: 'a', nodes: { a: { node_id: 'a', next_ids: ['a'] } } })).toMatchObject({
    graph: { startNodeId: 'a', nodes: { a: { id: 'a', name: 'a', nextIds: ['a'] } } },
  })
})

test('what is wrong is said', () => {
  expect(checkGraph('{\n  "nodes": {,\n}')).toEqual({ problem: { kind: 'json', line: 2 } })
  expect(checkGraph('{\n"a": 1')).toEqual({ problem: { kind: 'json', line: 2 } })
  expect(written([])).toEqual({ problem: { kind: 'shape' } })
  expect(written({ startNodeId: 'a', nodes: { a: 1 } })).toEqual({ problem: { kind: 'shape' } })
  expect(written({ startNodeId: 'b', nodes: { a: node('a') } })).toEqual({ problem: { kind: 'start', id: 'b' } })
  expect(written({ startNodeId: 'a', nodes: { a: node('a', 'b') } })).toEqual({
    problem: { kind: 'next', id: 'a', to: 'b' },
  })
  expect(written({ startNodeId: 'a', nodes: { a: node('b') } })).toEqual({
    problem: { kind: 'id', id: 'a', other: 'b' },
  })
})
