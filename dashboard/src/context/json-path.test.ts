import { expect, test } from 'vitest'

import { findIn, openFor, pathText } from './json-path'

test('paths are written as in most languages', () => {
  expect(pathText(['steps', 0, 'a b', 'name'])).toBe('steps[0]["a b"].name')
  expect(pathText(['a"b'])).toBe('["a\\"b"]')
  expect(pathText([])).toBe('')
})

const value = { title: 'Oak', trees: [{ name: 'oak', height: 12 }, { name: 'elm' }], oaken: null }

test('names and values are found, the nearest first', () => {
  expect(findIn(value, 'OAK').paths).toEqual([['title'], ['oaken'], ['trees', 0, 'name']])
  expect(findIn(value, '12').paths).toEqual([['trees', 0, 'height']])
  expect(findIn(value, ' ').paths).toEqual([])
  expect(findIn('an oak', 'oak').paths).toEqual([[]])
})

test('what was found can be seen', () => {
  expect([...openFor(findIn(value, 'elm').paths)]).toEqual(['', 'trees', 'trees[1]'])
})

test('five megabytes are searched at once, and no more is found than can be shown', () => {
  const rows = Array.from({ length: 60_000 }, (_, n) => ({ id: n, text: `row ${n} of them`, tags: ['a', 'b'] }))
  const began = performance.now()
  expect(findIn(rows, 'row 59999').paths).toEqual([[59_999, 'text']])
  expect(findIn([...rows, ...rows], 'nowhere')).toEqual({ paths: [], isCut: true })
  expect(findIn(rows, 'of them')).toMatchObject({ isCut: true })
  expect(findIn(rows, 'of them').paths).toHaveLength(200)
  expect(performance.now() - began).toBeLessThan(10_000)
})
