import { expect, test } from 'vitest'

import { hueOf, markOf, speakerOf } from './speaker'

test('a speaker has the same colour each time, and a few have different ones', () => {
  expect(hueOf('alice')).toBe(hueOf('alice'))
  const hues = new Set(Array.from({ length: 40 }, (_, n) => hueOf(`agent-${n}`)))
  expect(hues.size).toBeGreaterThan(8)
})

test.each([
  ['Alice', 'A'],
  ['Check sources', 'CS'],
  ['the one who speaks last', 'TL'],
  ['正方', '正'],
  ['🦊 fox', 'F'],
  ['node #2', 'N2'],
  ['', '?'],
  ['—', '?'],
])('the mark of %s is %s', (name, mark) => expect(markOf(name)).toBe(mark))

test('a message is by its agent, or else by its node', () => {
  expect(speakerOf({ agentId: 'grace', nodeId: 'for' })).toBe('grace')
  expect(speakerOf({ nodeId: 'for' })).toBe('for')
})
