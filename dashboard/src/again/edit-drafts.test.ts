import { expect, test } from 'vitest'

import { type Draft, editsOf, marksOf, otherForm, textOf } from './edit-drafts'
import { keyOf } from './edits'

const draftOf = (before: unknown, text: string, isText = false): Draft => ({
  target: { kind: 'proposal' },
  before,
  text,
  isText,
})
const edits = (draft: Draft) => editsOf(new Map([[keyOf(draft.target), draft]]))

test('what says the same is no change, however it is written', () => {
  expect(edits(draftOf({ a: [1, 2] }, '{ "a":[1,2] }')).edits).toEqual([])
  expect(edits(draftOf('as it was', 'as it was', true)).edits).toEqual([])
  expect(edits(draftOf({ a: 1 }, '{"a": 2}')).edits).toMatchObject([{ before: { a: 1 }, after: { a: 2 } }])
})

test('nothing written, where there was nothing, is nothing changed', () => {
  expect(edits(draftOf(undefined, '  '))).toEqual({ edits: [], isFine: true })
  expect(edits(draftOf(undefined, '', true)).edits).toEqual([])
  expect(edits(draftOf('text', '', true)).edits).toMatchObject([{ before: 'text', after: '' }])
})

test('what is no JSON is marked at its line, and holds up the fork', () => {
  const broken = draftOf({ a: 1 }, '{\n  "a": \n}')
  expect(edits(broken).isFine).toBe(false)
  expect(
    marksOf(
      broken,
      (line) => `line ${line}`,
      (name) => name,
    ),
  ).toEqual([{ line: 3, text: 'line 3' }])
  expect(
    marksOf(
      draftOf(1, ''),
      () => 'never',
      (name) => name,
    ),
  ).toEqual([])
})

test('a text becomes JSON and back without a change', () => {
  const draft = draftOf('She said "no".', 'She said "no".', true)
  const other = otherForm(draft)
  expect(other).toMatchObject({ isText: false, text: '"She said \\"no\\"."' })
  expect(otherForm(other)).toEqual(draft)
  // What is no text stays as it is written.
  expect(otherForm(draftOf({ a: 1 }, '{"a": 1}'))).toMatchObject({ isText: true, text: '{"a": 1}' })
  expect(textOf({ a: 1 })).toBe('{\n  "a": 1\n}')
})
