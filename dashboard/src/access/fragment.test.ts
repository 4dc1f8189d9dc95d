import { expect, test } from 'vitest'

import { shareLink, takeToken } from './fragment'

test('a link gives its token, and the rest of the fragment stays', () => {
  const link = new URL(shareLink('http://relive/sessions/x', 'a.b-c_d+/='))
  expect(link.pathname + link.search).toBe('/sessions/x')
  expect(takeToken(link.hash)).toEqual({ token: 'a.b-c_d+/=', hash: '' })
  expect(takeToken('#a=1&token=t&b=2')).toEqual({ token: 't', hash: '#a=1&b=2' })
})

test('a fragment without a token is left alone', () => {
  for (const hash of ['', '#content', '#a=1']) expect(takeToken(hash)).toEqual({ token: undefined, hash })
  expect(takeToken('#token=')).toEqual({ token: undefined, hash: '' })
})
