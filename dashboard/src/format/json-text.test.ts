import { expect, test } from 'vitest'

import { readJsonText } from './json-text'

test('a text that is JSON is read as the browser reads it, with the lines of its parts', () => {
  const { value, problem, lineOf } = readJsonText('{\n  "a": 1,\n  "b": {\n    "c": [\n      true\n    ]\n  }\n}')
  expect(value).toEqual({ a: 1, b: { c: [true] } })
  expect(problem).toBeUndefined()
  expect(lineOf(['a'])).toBe(2)
  expect(lineOf(['b', 'c'])).toBe(4)
  expect(lineOf(['b', 'c', 0])).toBe(5)
  // What is not there: the line of what it would be in.
  expect(lineOf(['b', 'x', 'y'])).toBe(3)
  expect(lineOf(['x'])).toBe(1)
})

test('where a text stops being JSON is said by line and column', () => {
  expect(readJsonText('{\n  "a": ,\n}').problem).toEqual({ line: 2, column: 8 })
  expect(readJsonText('').problem).toEqual({ line: 1, column: 1 })
  expect(readJsonText('{"a": 1,}').problem).toBeDefined()
  expect(readJsonText('// no\n1').problem).toBeDefined()
  expect(readJsonText('{"a": 1').problem).toEqual({ line: 1, column: 8 })
})

test('members that are there twice are found: only the last would count', () => {
  expect(readJsonText('{\n"a": 1,\n"b": {"c": 1, "c": 2},\n"a": 3}').repeated).toEqual([
    { name: 'c', line: 3 },
    { name: 'a', line: 4 },
  ])
})
