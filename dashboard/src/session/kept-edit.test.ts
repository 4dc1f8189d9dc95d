import { beforeEach, expect, test } from 'vitest'

import { editKey, keepEdit, readEdit } from './kept-edit'

const entries = new Map<string, string>()
const store = {
  getItem: (key: string) => entries.get(key) ?? null,
  setItem: (key: string, value: string) => void entries.set(key, value),
  removeItem: (key: string) => void entries.delete(key),
  key: (index: number) => [...entries.keys()][index] ?? null,
  get length() {
    return entries.size
  },
}
const key = editKey('s', 'n', 2)

beforeEach(() => entries.clear())

test('an edit is kept until it is empty, for one round of one review', () => {
  keepEdit(store, key, { edited: '', comment: 'why' }, 1)
  expect(readEdit(store, key)).toEqual({ edited: '', comment: 'why' })
  expect(readEdit(store, editKey('s', 'n', 3))).toEqual({ edited: undefined, comment: '' })
  keepEdit(store, key, { edited: undefined, comment: '' }, 2)
  expect(entries.size).toBe(0)
})

test('what is not an edit is none', () => {
  for (const text of ['{', '7', 'null', '{"edited": 7, "comment": null}']) {
    entries.set(key, text)
    expect(readEdit(store, key), text).toEqual({ edited: undefined, comment: '' })
  }
})

test('the oldest are dropped, others’ entries stay, and a huge one is not kept', () => {
  entries.set('other', 'x')
  for (let n = 0; n < 60; n += 1) keepEdit(store, editKey('s', `n${n}`, 1), { edited: 'x', comment: '' }, n)
  expect(entries.size).toBe(41)
  expect(readEdit(store, editKey('s', 'n59', 1)).edited).toBe('x')
  expect(readEdit(store, editKey('s', 'n0', 1)).edited).toBeUndefined()
  keepEdit(store, key, { edited: 'x'.repeat(300_000), comment: '' }, 99)
  expect(readEdit(store, key).edited).toBeUndefined()
})
