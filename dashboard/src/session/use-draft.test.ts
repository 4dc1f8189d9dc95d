import { expect, test } from 'vitest'

import { asDraft, wordCount } from './use-draft'

test('a draft is found in what nodes put out', () => {
  expect(asDraft('words')).toEqual({ text: 'words', isStructure: false })
  expect(asDraft({ output: 'out', exitCode: 0 })?.text).toBe('out')
  expect(asDraft({ draft: 'the draft', text: 'other' })).toEqual({ text: 'the draft', isStructure: false })
  expect(asDraft({ rows: 42 })).toEqual({ text: '{\n  "rows": 42\n}', isStructure: true })
  expect(asDraft([1])).toEqual({ text: '[\n  1\n]', isStructure: true })
  for (const nothing of [undefined, null, '']) expect(asDraft(nothing)).toBeUndefined()
})

test('words are counted, and characters where words are not set apart', () => {
  expect(wordCount('Live it, then re-live it.')).toBe(5)
  expect(wordCount('两处预算 without source')).toBe(6)
  expect(wordCount(' — ')).toBe(0)
})
