import { expect, test } from 'vitest'

import { changedTags } from './labels'

test('tags are added beside the others, once, and only those named go', () => {
  expect(changedTags(['a', 'b'], { add: ['b', 'c'], remove: ['a', 'x'] })).toEqual(['b', 'c'])
  expect(changedTags([], { add: ['a'], remove: [] })).toEqual(['a'])
  expect(changedTags(['a'], { add: [], remove: ['a'] })).toEqual([])
})
