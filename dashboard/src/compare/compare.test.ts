import type { WorkflowSession } from '@relive/types'
import { expect, test } from 'vitest'

import { compare } from './compare'

const base = {
  id: 's',
  status: 'running',
  activeNodeIds: [],
  totalTokens: 10,
  totalCostUsd: 0.5,
  revision: 1,
  createdAt: '',
  updatedAt: '',
}
const first = {
  ...base,
  nodes: {
    a: { id: 'a', name: 'A', status: 'completed', attempt: 1, tokenUsage: { inputTokens: 5, outputTokens: 5 } },
    b: { id: 'b', status: 'running' },
    same: { id: 'same', status: 'pending' },
  },
  contextData: { kept: { x: 1 }, gone: 1 },
} as unknown as WorkflowSession
const second = {
  ...base,
  totalTokens: 40,
  nodes: {
    a: { id: 'a', name: 'A', status: 'running', attempt: 2, tokenUsage: { inputTokens: 25, outputTokens: 15 } },
    b: { id: 'b', status: 'failed', error: 'no' },
    same: { id: 'same', status: 'pending' },
    late: { id: 'late', status: 'completed' },
  },
  contextData: { kept: { x: 1 }, come: 2 },
} as unknown as WorkflowSession

test('what changed is told by node, with attempts, tokens and errors', () => {
  const { nodes, tokens, context } = compare(first, second)
  expect(nodes.map(({ id, before, after }) => [id, before, after])).toEqual([
    ['a', 'completed', 'running'],
    ['b', 'running', 'failed'],
    ['late', undefined, 'completed'],
  ])
  expect(nodes[0]).toMatchObject({ attempts: [1, 2], tokens: 30 })
  expect(nodes[1]?.error).toBe('no')
  expect(tokens).toBe(30)
  expect(context.map(({ key }) => key)).toEqual(['come', 'gone'])
})

test('a moment does not differ from itself, also when it was read twice', () => {
  expect(compare(first, structuredClone(first))).toMatchObject({ nodes: [], context: [], tokens: 0 })
})

test('going back tells the same, the other way round', () => {
  expect(compare(second, first).nodes.find(({ id }) => id === 'late')).toMatchObject({
    before: 'completed',
    after: undefined,
  })
})
