import { expect, test } from 'vitest'

import { noFilters } from '../app/address'
import { addressOfView, readViews, viewsAtMost, withView } from './views'

test('a view is an address, with the columns of this browser', () => {
  expect(addressOfView({ ...noFilters, tags: ['etl'], columns: ['cost'] })).toBe('/?tag=etl&columns=cost')
  expect(addressOfView(noFilters)).toBe('/?columns=status,group,progress,created,duration,tokens,cost')
})

test('a view takes the place of one of the same name, and the oldest go', () => {
  const view = (name: string, address = '/') => ({ name, address })
  expect(withView([view('a'), view('b')], view(' a ', '/?text=x'))).toEqual([view('b'), view('a', '/?text=x')])
  expect(withView([view('a')], view('  '))).toEqual([view('a')])
  const many = Array.from({ length: viewsAtMost }, (_, n) => view(String(n)))
  expect(withView(many, view('new')).map(({ name }) => name)).toEqual([...many.slice(1).map(({ name }) => name), 'new'])
})

test('what is stored that is no view is passed over', () => {
  expect(readViews('x')).toEqual([])
  const stored = [
    { name: 'a', address: '/?text=a' },
    { name: 'b', address: 'https://elsewhere/' },
    7,
    null,
    { name: '' },
  ]
  expect(readViews(stored)).toEqual([{ name: 'a', address: '/?text=a' }])
})
