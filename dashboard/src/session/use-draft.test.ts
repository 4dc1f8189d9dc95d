import { expect, test } from 'vitest'

import { asText, wordCount } from './use-draft'

test('a draft is found in what nodes put out', () => {
  expect(asText('words')).toBe('words')
  expect(asText({ output: 'out', exitCode: 0 })).toBe('out')
  expect(asText({ draft: 'the draft', text: 'other' })).toBe('the draft')
  expect(asText({ rows: 42 })).toBe('{\n  "rows": 42\n}')
  expect(asText([1])).toBe('[\n  1\n]')
  for (const nothing of [undefined, null, '']) expect(asText(nothing)).toBeUndefined()
})

test('words are counted, and characters where words are not set apart', () => {
  expect(wordCount('Live it, then re-live it.')).toBe(5)
  expect(wordCount('两处预算 without source')).toBe(6)
  expect(wordCount(' — ')).toBe(0)
})
