import { expect, test } from 'vitest'

import { joinTags, splitTags } from './tags'

test('tags survive being one text, whatever is in them', () => {
  for (const tags of [[], ['etl'], ['a,b', 'c\\', '\\,', '夜间'], ['a b', 'é']])
    expect(splitTags(joinTags(tags))).toEqual(tags)
})

test('a comma within a tag is written as the server reads it, and what is empty or there twice is passed over', () => {
  expect(joinTags(['a,b', 'c\\d'])).toBe('a\\,b,c\\\\d')
  expect(splitTags(',a,,b,a,')).toEqual(['a', 'b'])
})
