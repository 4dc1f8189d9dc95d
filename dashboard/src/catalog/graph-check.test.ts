import { expect, test } from 'vitest'

import { checkGraph, placeOfRefusal } from './graph-check'

const lines = (value: unknown) => JSON.stringify(value, undefined, 1)
const written = (value: unknown) => checkGraph(lines(value))
const node = (id: string, ...nextIds: unknown[]) => ({ id, type: 'end', name: id.toUpperCase(), nextIds })
const builtin = { properties: { driver: 'builtin' } }
const kinds = (value: unknown) => written(value).problems.map(({ problem, nodeId }) => [problem.kind, nodeId])

test('a graph is read in either notation', () => {
  const { graph, problems } = written({
    name: 'g',
    startNodeId: 'a',
    nodes: { a: node('a', { to: 'b', label: 'yes' }), b: node('b') },
  })
  expect(problems).toEqual([])
  expect(graph?.nodes['a']).toMatchObject({ nextIds: ['b'], properties: { edgeLabels: { b: 'yes' } } })
  const old = { node_id: 'a', node_type: 'task', name: 'A', next_ids: ['a'] }
  expect(written({ start_node_id: 'a', nodes: { a: old } })).toMatchObject({
    graph: { startNodeId: 'a', nodes: { a: { id: 'a', type: 'task', nextIds: ['a'] } } },
    problems: [],
  })
})

test('what is no graph is said, with the line', () => {
  expect(checkGraph('{\n  "nodes": {,\n}').problems).toEqual([{ problem: { kind: 'json' }, line: 2 }])
  expect(checkGraph('{\n"a": 1').problems).toEqual([{ problem: { kind: 'json' }, line: 2 }])
  expect(written([]).problems).toEqual([{ problem: { kind: 'shape' }, line: 1 }])
  expect(written({ startNodeId: 'a', nodes: { a: 1 } }).problems).toEqual([
    { problem: { kind: 'nodeShape' }, line: 4, nodeId: 'a' },
  ])
})

test('every mistake is placed at its line and its node, and what can be drawn is', () => {
  const text = lines({ startNodeId: 'b', nodes: { a: { ...node('a', 'c'), id: 'x' } } })
  const { graph, problems } = checkGraph(text)
  const at = (part: string) => text.slice(0, text.indexOf(part)).split('\n').length
  expect(problems).toEqual([
    { problem: { kind: 'start', id: 'b' }, line: at('"startNodeId"') },
    { problem: { kind: 'id', id: 'a', other: 'x' }, line: at('"id"'), nodeId: 'a' },
    { problem: { kind: 'next', id: 'a', to: 'c' }, line: at('"c"'), nodeId: 'a' },
  ])
  expect(Object.keys(graph?.nodes ?? {})).toEqual(['a'])
  expect(kinds({ startNodeId: 'a', nodes: { a: { id: 'a' } } })).toEqual([
    ['field', 'a'],
    ['field', 'a'],
  ])
  expect(
    checkGraph('{"startNodeId": "a", "nodes": {"a": {"id": "a", "id": "a", "type": "t", "name": ""}}}').problems,
  ).toEqual([{ problem: { kind: 'repeated', name: 'id' }, line: 1 }])
})

test('what only the built-in engine refuses is said of its graphs alone', () => {
  const nodes = { a: { ...node('a', 'b'), type: 'mystery' }, b: node('b', 'c'), c: node('c', 'b'), lost: node('lost') }
  expect(kinds({ startNodeId: 'a', nodes })).toEqual([])
  expect(kinds({ ...builtin, startNodeId: 'a', nodes })).toEqual([
    ['type', 'a'],
    ['unreachable', 'lost'],
    ['cycle', 'b'],
  ])
  const loop = { a: node('a', 'l'), l: { ...node('l', 'a', 'end'), type: 'loop' }, end: node('end') }
  expect(kinds({ ...builtin, startNodeId: 'a', nodes: loop })).toEqual([])
  const delay = { ...node('a'), type: 'delay', properties: { secondz: 1 } }
  expect(kinds({ ...builtin, startNodeId: 'a', nodes: { a: delay } })).toEqual([
    ['unknownProperty', 'a'],
    ['needed', 'a'],
  ])
})

test('a chain of ten thousand nodes is no matter', () => {
  const ids = Array.from({ length: 10_000 }, (_, index) => `n${index}`)
  const nodes = Object.fromEntries(ids.map((id, index) => [id, node(id, ...ids.slice(index + 1, index + 2))]))
  expect(kinds({ ...builtin, startNodeId: 'n0', nodes })).toEqual([])
})

test('what the server refuses is placed where it belongs', () => {
  const text = lines({
    startNodeId: 'a',
    nodes: { a: { ...node('a'), properties: { max_rounds: 1 } }, b: node('b') },
  })
  const at = (part: string) => text.slice(0, text.indexOf(part)).split('\n').length
  expect(placeOfRefusal("node 'b' cannot be reached from the start (invalid_graph)", text)).toEqual({
    line: at('"b": {'),
    nodeId: 'b',
  })
  expect(placeOfRefusal("node 'a': the property maxRounds must be a number", text)).toEqual({
    line: at('"max_rounds"'),
    nodeId: 'a',
  })
  expect(placeOfRefusal('unknown field `startNodeId`', text)).toEqual({ line: 2 })
  expect(placeOfRefusal('the server cannot be reached', text)).toEqual({ line: 1 })
})
