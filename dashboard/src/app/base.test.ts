import { expect, test } from 'vitest'

import { baseOf, pathBelow } from './base'

test('a server at the root has no base, and neither has a page that no server has filled in', () => {
  for (const content of ['/', './', '', null, undefined]) expect(baseOf(content)).toBe('')
  expect(baseOf('/relive/')).toBe('/relive')
  expect(baseOf('/tools/relive/')).toBe('/tools/relive')
})

test('a path is read below the base', () => {
  expect(pathBelow('', '/sessions/x')).toBe('/sessions/x')
  expect(pathBelow('/relive', '/relive/sessions/x')).toBe('/sessions/x')
  expect(pathBelow('/relive', '/relive/')).toBe('/')
  expect(pathBelow('/relive', '/relive')).toBe('/')
})
