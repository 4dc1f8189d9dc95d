import { expect, test } from 'vitest'

import { textOrStructure } from './json'

test('objects and arrays are read, and everything else is a text', () => {
  expect(textOrStructure(' {"a": 1}')).toEqual({ a: 1 })
  expect(textOrStructure('[1, 2]')).toEqual([1, 2])
  for (const text of ['2026', 'true', 'null', '"quoted"', 'a plan', '[draft] a plan', '{', ''])
    expect(textOrStructure(text)).toBe(text)
})
