import type { GraphDefinition, Message, WorkflowSession } from '@relive/types'
import { expect, test } from 'vitest'

import { barOf, lanesOf } from '../timeline/test-bars'
import { groupMessages, parallelNodes } from './grouping'

const at = (second: number) => Date.UTC(2026, 0, 1, 0, 0, second)

function message(id: string, nodeId: string, second: number): Message {
  const createdAt = new Date(at(second)).toISOString()
  return {
    id,
    sessionId: 's',
    nodeId,
    role: 'agent',
    content: id,
    isThinking: false,
    isStreaming: false,
    tokenCount: 1,
    createdAt,
  }
}

const bar = (attempt: number, from: number) => barOf(at(from), undefined, { attempt, revision: 1 })
const lanes = lanesOf({ pro: [bar(1, 0), bar(2, 10)] })
const session = {
  nodes: { pro: { id: 'pro', name: 'Affirmative', type: 'agent', status: 'completed' } },
} as unknown as WorkflowSession
const graph: GraphDefinition = {
  name: 'g',
  startNodeId: 'start',
  nodes: {
    start: { id: 'start', type: 'start', name: 'Start', nextIds: ['pro', 'con'] },
    pro: { id: 'pro', type: 'agent', name: 'Affirmative', nextIds: ['again'] },
    con: { id: 'con', type: 'agent', name: 'Negative', nextIds: ['again'] },
    again: { id: 'again', type: 'loop', name: 'Again?', nextIds: ['start', 'end'] },
    end: { id: 'end', type: 'end', name: 'End' },
  },
}
const context = { session, graph, lanes, parallel: parallelNodes(graph) }

test('messages stand in the order of the run, and only neighbours of a node stand together', () => {
  const groups = groupMessages(
    [
      message('p1', 'pro', 1),
      message('c1', 'con', 2),
      message('p2', 'pro', 3),
      message('p3', 'pro', 3),
      message('c2', 'con', 4),
    ],
    context,
  )
  expect(groups.map(({ nodeName, messages }) => [nodeName, messages.map(({ id }) => id)])).toEqual([
    ['Affirmative', ['p1']],
    ['Negative', ['c1']],
    ['Affirmative', ['p2', 'p3']],
    ['Negative', ['c2']],
  ])
  expect(groups.map(({ isParallel }) => isParallel)).toEqual([true, true, true, true])
  expect(new Set(groups.map(({ key }) => key)).size).toBe(4)
})

test('two attempts are two groups, even if nobody speaks between them', () => {
  const groups = groupMessages([message('p1', 'pro', 1), message('p2', 'pro', 11)], context)
  expect(groups.map(({ attempt }) => attempt)).toEqual([1, 2])
})

test('a new attempt begins a new group', () => {
  const groups = groupMessages([message('p1', 'pro', 1), message('c1', 'con', 2), message('p2', 'pro', 11)], context)
  expect(groups.map(({ nodeId, attempt }) => [nodeId, attempt])).toEqual([
    ['pro', 1],
    ['con', 1],
    ['pro', 2],
  ])
})

test('a node nobody knows is shown by its id', () => {
  expect(groupMessages([message('x', 'stranger', 1)], context)[0]).toMatchObject({
    nodeName: 'stranger',
    status: 'pending',
    isParallel: false,
  })
})

test('the two ways out of a loop are not parallel', () => {
  expect([...parallelNodes(graph)].sort()).toEqual(['con', 'pro'])
})
