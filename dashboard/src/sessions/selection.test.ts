import { expect, test } from 'vitest'

import { all, extended, noSelection, pruned, selectedAtMost, toggled } from './selection'

const order = ['a', 'b', 'c', 'd', 'e']
const ids = ({ ids }: { ids: ReadonlySet<string> }) => [...ids].sort().join('')

test('a row is selected, and is not again', () => {
  const one = toggled(noSelection, 'b')
  expect(ids(one)).toBe('b')
  expect(ids(toggled(one, 'b'))).toBe('')
})

test('shift selects from the row that was chosen last, in both directions, beside what is selected', () => {
  const from = toggled(toggled(noSelection, 'e'), 'c')
  expect(ids(extended(from, order, 'a'))).toBe('abce')
  expect(ids(extended(extended(from, order, 'b'), order, 'd'))).toBe('bcde')
  expect(ids(extended(noSelection, order, 'd'))).toBe('d')
})

test('what leaves the list is not selected any more, and nothing is selected from it', () => {
  const some = toggled(toggled(noSelection, 'a'), 'c')
  expect(pruned(some, order)).toBe(some)
  const left = pruned(some, ['a', 'b'])
  expect(ids(left)).toBe('a')
  expect(ids(extended(left, ['a', 'b'], 'b'))).toBe('ab')
  expect(left.anchor).toBeUndefined()
})

test('a selection is bounded', () => {
  const many = Array.from({ length: selectedAtMost + 5 }, (_, n) => String(n))
  expect(all(many).ids.size).toBe(selectedAtMost)
  expect(toggled(all(many), 'x').ids.size).toBe(selectedAtMost)
})
