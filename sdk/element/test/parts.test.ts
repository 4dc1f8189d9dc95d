import { expect, test } from 'vitest'
import { parseAddress, parseMoment } from '../src/address'
import { expiryOf, TokenHolder, type TokenRequest } from '../src/token'

const page = 'https://www.example.org/report/'
const id = '01a2b3c4-0000-7000-8000-000000000001'

test('the address of a session, as a browser shows it', () => {
  for (const [src, server, token] of [
    [`https://relive.example.org/sessions/${id}`, 'https://relive.example.org', undefined],
    [`https://relive.example.org/sessions/${id}/?panel=node#token=a.b.c`, 'https://relive.example.org', 'a.b.c'],
    [` http://127.0.0.1:7400/embed/sessions/${id}`, 'http://127.0.0.1:7400', undefined],
    [`https://tools.example.org/relive/sessions/${id}`, 'https://tools.example.org/relive', undefined],
    [`/relive/sessions/${id}`, 'https://www.example.org/relive', undefined],
  ] as const) {
    expect(parseAddress(src, page), src).toEqual({ server, sessionId: id, token })
  }
  for (const src of [
    '',
    'https://relive.example.org/',
    `javascript:/sessions/${id}`,
    `ws://x/sessions/${id}`,
    'https://[/sessions/x',
    'https://x/sessions/%ff',
  ])
    expect(parseAddress(src, page), src).toBeUndefined()
})

test('a moment is a revision or a time', () => {
  expect(parseMoment(' 42 ')).toEqual({ revision: '42' })
  expect(parseMoment('2026-01-31T08:15:30Z')).toEqual({ at: '2026-01-31T08:15:30.000Z' })
  for (const wrong of ['', '0', '-1', '1.5', 'soon', '99999999999999999999'])
    expect(parseMoment(wrong), wrong).toBeUndefined()
})

function tokenFor(seconds: number): string {
  const part = (value: object) =>
    btoa(JSON.stringify(value)).replaceAll('+', '-').replaceAll('/', '_').replace(/=+$/, '')
  return `${part({ alg: 'EdDSA' })}.${part({ exp: Date.now() / 1000 + seconds, sub: '\u00ff>>' })}.x`
}

test('when a token expires is read from it, if it says so', () => {
  expect(expiryOf(tokenFor(60))).toBeCloseTo(Date.now() + 60_000, -3)
  for (const other of ['', 'rlv_key', 'a.b.c', 'a.e30.c']) expect(expiryOf(other), other).toBeUndefined()
})

/** A holder whose page answers with these, one after the other. */
function held(token: string | undefined, ...answers: (string | Promise<string> | undefined)[]) {
  const asked: TokenRequest['reason'][] = []
  const holder = new TokenHolder(token, ({ reason, provide }) => {
    asked.push(reason)
    const answer = answers.shift()
    if (answer !== undefined) provide(answer)
  })
  return { holder, asked }
}

test('the page is asked when there is no token, and when the one there is was given before', async () => {
  const { holder, asked } = held(undefined, Promise.resolve('first'), 'second')
  expect(await holder.begin()).toBe(true)
  expect(await holder.next()).toBe('first')
  expect(await holder.next()).toBe('second')
  expect(asked).toEqual(['missing', 'expiring'])
})

test('without an answer it goes on with the token it has, until that has expired', async () => {
  const [long, short] = [tokenFor(60), tokenFor(-1)]
  const { holder, asked } = held(long)
  expect(await holder.begin()).toBe(true)
  expect([await holder.next(), await holder.next()]).toEqual([long, long])
  holder.set(short)
  // The server decides; a clock here may be wrong.
  expect(await holder.next()).toBe(short)
  await expect(holder.next()).rejects.toMatchObject({ code: 'unauthorized', retryable: false })
  expect(asked).toEqual(['expiring', 'expiring'])
  expect(await held(undefined).holder.begin()).toBe(false)
})
