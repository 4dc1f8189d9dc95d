import type { GraphDefinition } from '@relive/types'
import { expect, test } from 'vitest'

import { fieldValue, inputNames, textOf } from './inputs'

const graph = (...properties: Record<string, unknown>[]): GraphDefinition => ({
  name: 'g',
  startNodeId: 'n0',
  nodes: Object.fromEntries(
    properties.map((each, index) => [`n${index}`, { id: `n${index}`, type: 'llm', name: '', properties: each }]),
  ),
})

test('the inputs of a graph are those that its templates name', () => {
  expect(
    inputNames(
      graph(
        { prompt: 'About {{ inputs.topic }}, in {{inputs["the language"] | upper}}; not inputs.this' },
        { body: { list: ['{% if inputs.long %}long{% endif %}', '{{inputs.topic}}'] } },
        { prompt: '{{ nodes.a.output }} {{ context.inputs }}' },
      ),
    ),
  ).toEqual(['topic', 'the language', 'long'])
  expect(inputNames(graph())).toEqual([])
})

test('a field takes texts as they are, and numbers, switches, lists and objects as such', () => {
  expect(['oaks', '12', '-1.5', 'true', '[1]', '{"a":1}', 'true story', '12 oaks', '{x', ''].map(fieldValue)).toEqual([
    'oaks',
    12,
    -1.5,
    true,
    [1],
    { a: 1 },
    'true story',
    '12 oaks',
    '{x',
    '',
  ])
})

test('a value that is shown in a field is that value again', () => {
  for (const value of ['oaks', 12, false, null, [1, 'a'], { a: { b: 1 } }, '12 oaks'])
    expect(fieldValue(textOf(value))).toEqual(value)
  expect(textOf(undefined)).toBe('')
})
