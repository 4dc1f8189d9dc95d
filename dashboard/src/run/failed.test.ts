import type { NodeStateSnapshot, WorkflowSession } from '@relive/types'
import { expect, test } from 'vitest'

import { failedNode } from './failed'

const of = (...nodes: Partial<NodeStateSnapshot>[]) =>
  failedNode({ nodes: Object.fromEntries(nodes.map((node) => [node.id, node])) } as unknown as WorkflowSession)?.id

const at = (second: number) => `2026-01-01T00:00:0${second}.000Z`

test('the node that failed first is the one to look at', () => {
  expect(of()).toBeUndefined()
  expect(of({ id: 'a', status: 'completed', completedAt: at(1) })).toBeUndefined()
  expect(
    of(
      { id: 'b', status: 'failed', completedAt: at(3), error: 'b' },
      { id: 'a', status: 'failed', completedAt: at(2), error: 'a' },
    ),
  ).toBe('a')
})

test('of those that failed together, the step that says why', () => {
  const ended = { status: 'failed', completedAt: at(2) } as const
  expect(of({ id: 'a', ...ended }, { id: 'b', ...ended, error: 'why' })).toBe('b')
  expect(of({ id: 'a', ...ended, error: 'inner' }, { id: 'b', ...ended, error: 'why', parentNodeId: 'a' })).toBe('b')
})
