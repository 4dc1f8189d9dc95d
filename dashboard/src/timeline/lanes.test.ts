import type { NodeStateSnapshot, WorkflowSession } from '@relive/types'
import { expect, test } from 'vitest'

import { advance, inOrder, type Lanes, noLanes, withInherited } from './lanes'

const time = (second: number) => new Date(Date.UTC(2026, 0, 1, 0, 0, second)).toISOString()
const at = (second: number) => Date.parse(time(second))

function state(revision: number, second: number, nodes: Record<string, Partial<NodeStateSnapshot>>): WorkflowSession {
  const whole = Object.fromEntries(Object.entries(nodes).map(([id, node]) => [id, { id, status: 'pending', ...node }]))
  return {
    id: 's',
    status: 'running',
    nodes: whole,
    activeNodeIds: [],
    totalTokens: 0,
    totalCostUsd: 0,
    revision,
    createdAt: time(0),
    updatedAt: time(second),
  } as WorkflowSession
}

function follow(...states: WorkflowSession[]): Lanes {
  let before: WorkflowSession | undefined
  let lanes = noLanes
  for (const next of states) {
    lanes = advance(lanes, before, next)
    before = next
  }
  return lanes
}

const bars = (lanes: Lanes, id = 'a') =>
  lanes.get(id)?.bars.map(({ status, attempt, from, to }) => [status, attempt, from, to])

test('a bar grows while its node runs and is drawn as what it ended as', () => {
  const running = state(2, 1, { a: { status: 'running', startedAt: time(1), attempt: 1 } })
  expect(bars(follow(running))).toEqual([['running', 1, at(1), undefined]])
  const failed = state(3, 4, { a: { status: 'failed', startedAt: time(1), completedAt: time(4), attempt: 1 } })
  expect(bars(follow(running, failed))).toEqual([['failed', 1, at(1), at(4)]])
})

test('a wait is a bar of its own between two of work', () => {
  const lanes = follow(
    state(2, 1, { a: { status: 'running', startedAt: time(1) } }),
    state(3, 3, { a: { status: 'suspended', startedAt: time(1) } }),
    state(4, 7, { a: { status: 'running', startedAt: time(1) } }),
    state(5, 9, { a: { status: 'completed', startedAt: time(1), completedAt: time(9) } }),
  )
  expect(bars(lanes)).toEqual([
    ['completed', 1, at(1), at(3)],
    ['suspended', 1, at(3), at(7)],
    ['completed', 1, at(7), at(9)],
  ])
})

test('an attempt that went by between two states is there all the same', () => {
  const lanes = follow(
    state(2, 1, { a: { status: 'completed', startedAt: time(0), completedAt: time(1), attempt: 1 } }),
    state(9, 8, { a: { status: 'completed', startedAt: time(5), completedAt: time(7), attempt: 2 } }),
  )
  expect(bars(lanes)).toEqual([
    ['completed', 1, at(0), at(1)],
    ['completed', 2, at(5), at(7)],
  ])
})

test('only the lanes of nodes that changed are new', () => {
  const first = state(2, 1, {
    a: { status: 'running', startedAt: time(1) },
    b: { status: 'running', startedAt: time(1) },
  })
  const second = {
    ...first,
    nodes: { ...first.nodes, a: { ...first.nodes['a'], status: 'completed', completedAt: time(2) } },
  } as WorkflowSession
  const before = advance(noLanes, undefined, first)
  const after = advance(before, first, second)
  expect(after.get('b')).toBe(before.get('b'))
  expect(after.get('a')).not.toBe(before.get('a'))
  expect(advance(after, second, { ...second, totalTokens: 5 })).toBe(after)
})

test('nodes that were skipped before they began have no bar, and progress alone draws nothing', () => {
  expect(follow(state(2, 1, { a: { status: 'skipped' } })).size).toBe(0)
  const first = state(2, 1, { a: { status: 'running', startedAt: time(1), progress: 0.1 } })
  const lanes = advance(noLanes, undefined, first)
  expect(advance(lanes, first, state(3, 2, { a: { status: 'running', startedAt: time(1), progress: 0.2 } }))).toBe(
    lanes,
  )
})

test('lanes stand in the order in which their nodes began', () => {
  const lanes = follow(
    state(2, 3, { b: { status: 'running', startedAt: time(1) }, a: { status: 'running', startedAt: time(2) } }),
  )
  expect(inOrder(lanes).map(({ id }) => id)).toEqual(['b', 'a'])
})

test('nodes that began within one millisecond stand in the order in which that was recorded', () => {
  const ran = { status: 'running', startedAt: time(1) } as const
  const lanes = follow(
    state(2, 1, { 'step 2': ran }),
    state(3, 1, { 'step 2': ran, 'step 10': ran }),
    state(4, 1, { 'step 2': ran, 'step 10': ran, 'step 1': ran }),
  )
  expect(inOrder(lanes).map(({ id }) => id)).toEqual(['step 2', 'step 10', 'step 1'])
  // Where no revision tells them apart, as in a fork, by their names as people count.
  const unknown = new Map(
    [...lanes].map(([id, { bars }]) => [id, { id, bars: bars.map((bar) => ({ ...bar, revision: undefined })) }]),
  )
  expect(inOrder(unknown).map(({ id }) => id)).toEqual(['step 1', 'step 2', 'step 10'])
})

test('instances come after their node, in the order in which they began', () => {
  const ran = (second: number) => ({ status: 'running' as const, startedAt: time(second), attempt: 1 })
  const session = state(9, 9, { b: ran(1), 'a#2': ran(4), 'a#1': ran(3), a: ran(2), 'c#1': ran(5) })
  const graph = {
    name: 'g',
    startNodeId: 'a',
    nodes: Object.fromEntries(['a', 'b', 'c'].map((id) => [id, { id, type: 't', name: id }])),
  }
  const ids = (lanes: Lanes, of?: typeof graph) => inOrder(lanes, of).map(({ id }) => id)
  const lanes = advance(noLanes, undefined, session)
  expect(ids(lanes, graph)).toEqual(['b', 'a', 'a#1', 'a#2', 'c#1'])
  expect(ids(advance(noLanes, undefined, state(9, 9, { b: ran(3), 'a#1': ran(4), a: ran(2) })), graph)).toEqual([
    'a',
    'a#1',
    'b',
  ])
})

test('a fork has the attempts of its parent from before it took over', () => {
  const parent = follow(
    state(2, 1, { a: { status: 'completed', startedAt: time(0), completedAt: time(1), attempt: 1 } }),
    state(3, 2, { b: { status: 'completed', startedAt: time(1), completedAt: time(2), attempt: 1 } }),
    state(9, 8, { a: { status: 'running', startedAt: time(5), attempt: 2 } }),
  )
  const fork = follow(state(1, 9, { a: { status: 'completed', startedAt: time(5), completedAt: time(9), attempt: 2 } }))
  const lanes = withInherited(fork, parent)
  expect(bars(lanes)).toEqual([
    ['completed', 1, at(0), at(1)],
    ['completed', 2, at(5), at(9)],
  ])
  expect(bars(lanes, 'b')).toEqual([['completed', 1, at(1), at(2)]])
  expect(lanes.get('b')?.bars[0]?.revision).toBeUndefined()
  expect(withInherited(fork, noLanes)).toBe(fork)
})
