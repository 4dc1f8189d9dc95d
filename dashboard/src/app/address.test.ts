import { expect, test } from 'vitest'

import { formatAddress, noFilters, type Place, parseAddress, plainView } from './address'

const sessionId = '01a202e5-b3cc-70cd-a8dd-1e7776a038b0'

function parse(address: string): Place {
  const { pathname, search } = new URL(address, 'http://relive')
  return parseAddress(pathname, search)
}

test('every place survives its address', () => {
  const filters = {
    text: 'budget & co, 预算',
    statuses: ['running', 'failed'] as const,
    groupId: 'g1',
    workflowId: 'w1',
    parentId: 'p1',
    tags: ['nightly', 'a, b'],
    endedAfter: '2026-11-25T00:00:00.000Z',
    endedBefore: '2026-11-26T00:00:00.000Z',
  }
  const places: Place[] = [
    { page: 'sessions', filters: noFilters },
    { page: 'sessions', filters },
    { page: 'inbox' },
    { page: 'keys' },
    { page: 'audit' },
    { page: 'overview', options: { period: 'week', by: 'tag' } },
    { page: 'compare', options: { a: 'one', b: 'two' } },
    { page: 'memories', options: { text: 'oaks & elms' } },
    { page: 'agents', options: {} },
    { page: 'session', sessionId, filters: noFilters, view: plainView },
    { page: 'session', sessionId, filters, view: { panel: 'compare', nodeId: 'a/b ?', revision: 7, compareWith: 3 } },
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
  for (const revision of ['0', '-1', '1.5', 'x', '1e99', '']) {
    expect(parse(`/sessions/${sessionId}?revision=${revision}&panel=attic`)).toMatchObject({ view: plainView })
  }
  expect(parse('/sessions/not-an-id')).toEqual({ page: 'unknown' })
  expect(parse('/elsewhere')).toEqual({ page: 'unknown' })
})

test('the same filters are the same address, in whatever order they were chosen', () => {
  expect(parse('/?status=failed,running')).toEqual(parse('/?status=running,failed'))
})
