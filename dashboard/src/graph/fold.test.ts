import type { GraphDefinition } from '@relive/types'
import { expect, test } from 'vitest'

import { foldedAtFirst, foldId, visibleGraph } from './fold'
import { regionsOf } from './regions'

function graphOf(edges: Record<string, string[]>, loops: string[] = []): GraphDefinition {
  const nodes = Object.fromEntries(
    Object.entries(edges).map(([id, nextIds]) => [
      id,
      { id, name: id, type: loops.includes(id) ? 'loop' : 'command', nextIds },
    ]),
  )
  return { name: 'g', startNodeId: Object.keys(edges)[0] ?? '', nodes }
}

const members = (graph: GraphDefinition) =>
  Object.fromEntries(regionsOf(graph).map(({ id, members }) => [id, [...members].sort()]))

const loop = graphOf(
  { start: ['draft'], draft: ['a', 'b'], a: ['join'], b: ['join'], join: ['again'], again: ['draft', 'end'], end: [] },
  ['again'],
)

test('a cycle of another engine is no part that its own node could be folded into', () => {
  const agent = graphOf({ agent: ['tools', 'end'], tools: ['agent'], end: [], later: ['agent'] })
  expect(regionsOf(agent)).toEqual([])
  expect(visibleGraph(agent, [], new Set()).items.map(({ id }) => id)).toEqual(['agent', 'tools', 'end', 'later'])
})

test('a loop’s body and what runs between a fork and its join are parts that can be folded', () => {
  expect(members(loop)).toEqual({ 'loop again': ['a', 'b', 'draft', 'join'], 'parallel draft': ['a', 'b'] })
})

test('a fork inside a fork is a part of its own and of the outer one', () => {
  const graph = graphOf({ s: ['a', 'b'], a: ['c', 'd'], c: ['e'], d: ['e'], e: ['end'], b: ['end'], end: [] })
  expect(members(graph)).toEqual({ 'parallel s': ['a', 'b', 'c', 'd', 'e'], 'parallel a': ['c', 'd'] })
})

test('branches that never join reach to their ends', () => {
  expect(members(graphOf({ s: ['a', 'b'], a: ['c'], b: [], c: [] }))).toEqual({ 'parallel s': ['a', 'b', 'c'] })
})

test('a folded part is one item, and keeps its edges to the outside', () => {
  const regions = regionsOf(loop)
  const { items, edges, standIns } = visibleGraph(loop, regions, new Set(['parallel draft']))
  expect(items.map(({ id }) => id)).toEqual(['start', 'draft', 'fold parallel draft', 'join', 'again', 'end'])
  expect(edges.map(({ source, target }) => `${source} → ${target}`)).toEqual([
    'start → draft',
    'draft → fold parallel draft',
    'fold parallel draft → join',
    'join → again',
    'again → draft',
    'again → end',
  ])
  expect(edges.filter(({ isBack }) => isBack).map(({ source }) => source)).toEqual(['again'])
  expect(standIns.get('a')).toBe('fold parallel draft')
})

test('no node is counted in two folded parts', () => {
  const region = (id: string, members: string[]) =>
    ({ id, kind: 'parallel', ownerId: 's', members: new Set(members) }) as const
  const graph = graphOf({ s: ['a', 'b', 'c'], a: ['d'], b: ['d'], c: ['d'], d: [] })
  const overlapping = [region('one', ['a', 'b']), region('two', ['b', 'c']), region('three', ['a', 'c'])]
  const { items } = visibleGraph(graph, overlapping, new Set(['one', 'two', 'three']))
  const counted = items.flatMap((item) => (item.kind === 'fold' ? [...item.region.members] : [item.id]))
  expect(counted.sort()).toEqual(['a', 'b', 'c', 'd', 's'])
})

test('a part inside a folded part goes with it', () => {
  const regions = regionsOf(loop)
  const { items } = visibleGraph(loop, regions, new Set(regions.map(({ id }) => id)))
  expect(items.map(({ id }) => id)).toEqual(['start', 'fold loop again', 'again', 'end'])
})

test('nodes are put in the order in which they are reached, whatever order the graph gives', () => {
  const graph = { ...graphOf({ z: [], m: ['z'], a: ['m'] }), startNodeId: 'a' }
  expect(visibleGraph(graph, [], new Set()).items.map(({ id }) => id)).toEqual(['a', 'm', 'z'])
})

test('small graphs are shown whole, large ones with their large parts folded', () => {
  expect(foldedAtFirst(7, regionsOf(loop)).size).toBe(0)
  const wide: Record<string, string[]> = { start: ['fork'] }
  wide['fork'] = Array.from({ length: 150 }, (_, index) => `job${index}`)
  for (const id of wide['fork']) wide[id] = ['end']
  wide['end'] = ['after']
  for (let index = 0; index < 30; index += 1)
    wide[index === 0 ? 'after' : `after${index}`] = index < 29 ? [`after${index + 1}`] : []
  const regions = regionsOf(graphOf(wide))
  const folded = foldedAtFirst(Object.keys(wide).length, regions)
  expect([...folded]).toEqual(['parallel fork'])
  const region = regions[0]
  expect(region && visibleGraph(graphOf(wide), regions, folded).items.some(({ id }) => id === foldId(region))).toBe(
    true,
  )
})

test('a chain of ten thousand nodes is no matter', () => {
  const chain = Object.fromEntries(
    Array.from({ length: 10_000 }, (_, index) => [`n${index}`, index < 9999 ? [`n${index + 1}`] : []]),
  )
  expect(regionsOf(graphOf(chain))).toEqual([])
})
