import { expect, test } from 'vitest'

import { type Link, nextLink } from './link'

const idle: Link = { connection: { state: 'idle' }, lostAt: undefined }

test('a connection is lost from when it was last open, through all attempts to get it back', () => {
  let link = nextLink(idle, { state: 'connecting' }, 1)
  expect(link.lostAt).toBeUndefined()
  link = nextLink(link, { state: 'open' }, 2)
  link = nextLink(link, { state: 'waiting', retryAt: 9 }, 100)
  expect(link.lostAt).toBe(100)
  link = nextLink(link, { state: 'connecting' }, 200)
  link = nextLink(link, { state: 'waiting', retryAt: 400 }, 300)
  expect(link.lostAt).toBe(100)
  expect(nextLink(link, { state: 'open' }, 400).lostAt).toBeUndefined()
})

test('before the first opening nothing is lost', () => {
  const link = nextLink(nextLink(idle, { state: 'connecting' }, 1), { state: 'waiting', retryAt: 9 }, 2)
  expect(link.lostAt).toBeUndefined()
})
