import { expect, test } from 'vitest'

import { formatAddress, isFolded, type ListFilters, noFilters, type Place, parseAddress, plainView } from './address'

const sessionId = '01a202e5-b3cc-70cd-a8dd-1e7776a038b0'

function parse(address: string): Place {
  const { pathname, search } = new URL(address, 'http://relive')
  return parseAddress(pathname, search)
}

test('every place survives its address', () => {
  const filters: ListFilters = {
    text: 'budget & co, 预算',
    statuses: ['running', 'failed'],
    isWaiting: true,
    groupId: 'g1',
    workflowId: 'w1',
    parentId: 'p1',
    tags: ['a,b', 'c'],
    startedAfter: '7d',
    startedBefore: '2026-11-26T10:00:00.000Z',
    endedAfter: '2026-11-25T00:00:00.000Z',
    endedBefore: '2026-11-26T00:00:00.000Z',
    families: 'folded',
    sort: { column: 'cost', isDescending: true },
    columns: ['status', 'cost'],
  }
  const places: Place[] = [
    { page: 'sessions', filters: noFilters },
    { page: 'sessions', filters },
    { page: 'sessions', filters: { ...noFilters, columns: [], sort: { column: 'name', isDescending: false } } },
    { page: 'inbox' },
    { page: 'keys' },
    { page: 'audit' },
    { page: 'overview', options: { period: 'week', by: 'tag' } },
    { page: 'compare', options: { a: 'one', b: 'two' } },
    { page: 'memories', options: { text: 'oaks & elms' } },
    { page: 'agents', options: {} },
    { page: 'session', sessionId, filters: noFilters, view: plainView },
    { page: 'session', sessionId, filters, view: { panel: 'compare', nodeId: 'a/b ?', revision: 7, compareWith: 3 } },
    { page: 'session', sessionId, filters: noFilters, view: { ...plainView, isReading: true } },
  ]
  for (const place of places) expect(parse(formatAddress(place))).toEqual(place)
})

test('the plain pages have plain addresses', () => {
  expect(formatAddress({ page: 'sessions', filters: noFilters })).toBe('/')
  expect(formatAddress({ page: 'session', sessionId, filters: noFilters, view: plainView })).toBe(
    `/sessions/${sessionId}`,
  )
  expect(formatAddress({ page: 'sessions', filters: { ...noFilters, statuses: ['running', 'paused'] } })).toBe(
    '/?status=running,paused',
  )
})

test('what makes no sense in an address is passed over', () => {
  expect(parse('/?status=running,flying,,&text=')).toEqual({
    page: 'sessions',
    filters: { ...noFilters, statuses: ['running'] },
  })
  expect(parse('/?waiting=maybe&families=large&sort=luck&startedAfter=soon&startedBefore=0d&tag=,')).toEqual({
    page: 'sessions',
    filters: noFilters,
  })
  for (const revision of ['0', '-1', '1.5', 'x', '1e99', '']) {
    expect(parse(`/sessions/${sessionId}?revision=${revision}&panel=attic`)).toMatchObject({ view: plainView })
  }
  expect(parse('/sessions/not-an-id')).toEqual({ page: 'unknown' })
  expect(parse('/elsewhere')).toEqual({ page: 'unknown' })
})

test('the same filters are the same address, in whatever order they were chosen', () => {
  expect(parse('/?status=failed,running')).toEqual(parse('/?status=running,failed'))
})

test('families are folded until the list is narrowed, unless somebody has said otherwise', () => {
  expect(isFolded(noFilters)).toBe(true)
  expect(isFolded({ ...noFilters, sort: { column: 'cost', isDescending: true } })).toBe(true)
  for (const narrowed of [{ text: 'x' }, { tags: ['x'] }, { isWaiting: true }, { startedAfter: '1h' }]) {
    expect(isFolded({ ...noFilters, ...narrowed })).toBe(false)
    expect(isFolded({ ...noFilters, ...narrowed, families: 'folded' })).toBe(true)
  }
  expect(isFolded({ ...noFilters, families: 'flat' })).toBe(false)
})
