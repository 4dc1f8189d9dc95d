import { expect, test } from 'vitest'

import { type Entry, entriesAtMost, fitting } from './entries'

const entry = (label: string): Entry => ({ id: label, kind: 'action', label, run: () => undefined })
const found = (wanted: string, ...labels: string[]) => fitting(labels.map(entry), wanted).map(({ label }) => label)

test('the beginning counts most, then that of a word, then any place, then all words somewhere', () => {
  const labels = ['Press the button', 'Unrest', 'A rest', 'Rest']
  expect(found('rest', ...labels)).toEqual(['Rest', 'A rest', 'Unrest'])
  expect(found('button press', ...labels)).toEqual(['Press the button'])
  expect(found('nothing', ...labels)).toEqual([])
})

test('without a text all are offered, as many as fit a page', () => {
  expect(found('', 'b', 'a')).toEqual(['b', 'a'])
  expect(found(' ', ...Array.from({ length: 90 }, (_, n) => `e${n}`))).toHaveLength(entriesAtMost)
})
