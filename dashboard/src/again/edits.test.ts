import type { GraphDefinition, WorkflowSession } from '@relive/types'
import { expect, test } from 'vitest'

import { commandsFor, endedAfter, nodesWithOutputs } from './edits'

const node = (id: string, status: string, at?: number) => ({
  id,
  status,
  ...(at !== undefined && { startedAt: `2026-01-01T00:00:0${at}Z`, completedAt: `2026-01-01T00:00:0${at + 1}Z` }),
})

const state = {
  status: 'running',
  nodes: {
    late: node('late', 'completed', 4),
    early: node('early', 'completed', 1),
    broken: node('broken', 'failed', 2),
    choice: node('choice', 'failed', 3),
    ahead: node('ahead', 'pending'),
  },
} as unknown as WorkflowSession

const graph: GraphDefinition = {
  name: 'g',
  startNodeId: 'early',
  nodes: Object.fromEntries(
    Object.entries({
      early: ['broken'],
      broken: ['choice'],
      choice: ['late', 'ahead'],
      late: ['early'],
      ahead: [],
    }).map(([id, nextIds]) => [id, { id, type: 'task', name: id, nextIds }]),
  ),
}

test('outputs of what has begun can be changed, but not of what would have to decide', () => {
  expect(nodesWithOutputs(state, graph)).toEqual(['early', 'broken', 'late'])
  expect(nodesWithOutputs({ ...state, status: 'pending' }, graph)).toEqual([])
  expect(nodesWithOutputs({ ...state, status: 'completed' }, graph)).toEqual([])
})

test('what had ended after a node is told, also around a loop', () => {
  expect([...endedAfter('early', state, graph)].sort()).toEqual(['broken', 'choice', 'late'])
  expect(endedAfter('late', state, graph)).toEqual([])
  expect(endedAfter('ahead', state, graph)).toEqual([])
})

test('the commands are those of the protocol, and a failed node is run again to complete', () => {
  expect(
    commandsFor(
      [
        { target: { kind: 'proposal' }, before: 'a', after: 'b' },
        { target: { kind: 'context', key: 'k' }, before: 1, after: null },
        { target: { kind: 'output', nodeId: 'early' }, before: 1, after: 2 },
        { target: { kind: 'output', nodeId: 'broken' }, before: undefined, after: 3 },
      ],
      state,
    ),
  ).toEqual([
    { type: 'setProposal', proposal: 'b' },
    { type: 'setContext', key: 'k', value: null },
    { type: 'setNodeStatus', nodeId: 'early', status: 'completed', output: 2 },
    { type: 'setNodeStatus', nodeId: 'broken', status: 'running' },
    { type: 'setNodeStatus', nodeId: 'broken', status: 'completed', output: 3 },
  ])
})
