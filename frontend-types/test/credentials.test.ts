import assert from 'node:assert/strict'
import { afterEach, beforeEach, test } from 'node:test'
import { type Clock, type ReliveClient, type ReliveClientOptions, ReliveError } from '../src/index.js'
import { summary } from './frames.js'
import { Peer, type PeerConnection, sessionId, snapshot } from './peer.js'
import { Recorder } from './recorder.js'
import { makeClient, recordStates, Watching } from './watching.js'

const inAMinute = '2026-01-31T08:16:30.250Z'

let peer: Peer
let client: ReliveClient
let watching: Watching
/** How often a token was asked for. */
let asked: number

beforeEach(async () => {
  peer = await Peer.start()
  watching = new Watching()
  asked = 0
})

afterEach(() => {
  client.close()
  peer.stop()
})

function use(options: Partial<ReliveClientOptions>): void {
  client = makeClient(peer.url, options)
}

/** `token 1`, `token 2`, …: whether they are fetched or at hand. */
const numbered = {
  later: () => Promise.resolve(nextToken()),
  now: () => nextToken(),
}

function nextToken(): string {
  asked += 1
  return `token ${asked}`
}

/** The token that came with a socket's handshake. */
function tokenOf(connection: PeerConnection): string | undefined {
  const [protocol, bearer, ...others] = connection.protocols
  assert.deepEqual([protocol, others], ['relive.v1', []])
  const encoded = /^base64url\.bearer\.relive\.([A-Za-z0-9_-]+)$/.exec(bearer ?? '')?.[1]
  return encoded && Buffer.from(encoded, 'base64url').toString('utf8')
}

/** A clock that stands until it is told to go on. */
class HandClock implements Clock {
  #now = 1_000_000
  readonly #timers = new Map<object, { at: number; run: () => void }>()

  now(): number {
    return this.#now
  }

  setTimeout(run: () => void, milliseconds: number): object {
    const timer = {}
    this.#timers.set(timer, { at: this.#now + milliseconds, run })
    return timer
  }

  clearTimeout(timer: unknown): void {
    this.#timers.delete(timer as object)
  }

  pass(milliseconds: number): void {
    this.#now += milliseconds
    for (const [timer, { at, run }] of [...this.#timers]) {
      if (at > this.#now || !this.#timers.delete(timer)) continue
      run()
    }
  }
}

/** A subscription on a clock that stands; every server frame so far has been looked at when it resolves. */
async function settle(connection: PeerConnection, revision: number): Promise<void> {
  connection.send(snapshot(revision))
  await watching.sessions.next((session) => session.revision === revision)
}

for (const [name, getToken] of Object.entries(numbered)) {
  test(`the token comes with the handshake, and is asked for anew for each (${name})`, async () => {
    use({ getToken })
    client.subscribe(sessionId, {}, watching)
    const first = await peer.connections.next()
    await first.next('subscribe')
    assert.equal(tokenOf(first), 'token 1')
    first.close(1001)
    const second = await peer.connections.next()
    await second.next('subscribe')
    assert.equal(tokenOf(second), 'token 2')
    for (const { path, received } of [first, second]) {
      assert.equal(path, '/ws')
      assert.ok(received.items.every(({ type }) => type !== 'auth'))
    }
  })
}

test('any token survives being a subprotocol', async () => {
  for (const getToken of ['rlv_abc', 'a', 'ab', 'schlüssel', '>>>???~~~', 'x'.repeat(3000)]) {
    use({ getToken })
    client.subscribe(sessionId)
    assert.equal(tokenOf(await peer.connections.next()), getToken)
    client.close()
  }
})

test('without a token nothing is sent of one', async () => {
  use({})
  client.subscribe(sessionId)
  assert.deepEqual((await peer.connections.next()).protocols, [])
  const answer = client.fetch('/api/v1/me')
  const request = await peer.requests.next()
  assert.equal(request.authorization, undefined)
  request.answer({}, 401)
  assert.equal((await answer).status, 401)
  assert.equal(peer.requests.items.length, 1)
})

test('a token that expires is replaced on the open socket', async () => {
  const clock = new HandClock()
  use({ getToken: numbered.later, clock })
  client.subscribe(sessionId, {}, watching)
  const connection = await peer.connections.next()
  await connection.subscribed(1)
  for (const count of [2, 3]) {
    clock.pass(30_000)
    connection.send({ type: 'expiring', expiresAt: inAMinute })
    assert.equal((await connection.next('auth')).token, `token ${count}`)
    connection.send({ type: 'authenticated', project: 'default', role: 'viewer', expiresAt: inAMinute })
    await settle(connection, count)
  }
  assert.equal(peer.connections.items.length, 1)
})

test('tokens that last only seconds do not make a loop', async () => {
  const clock = new HandClock()
  use({ getToken: numbered.later, clock })
  client.subscribe(sessionId, {}, watching)
  const connection = await peer.connections.next()
  await connection.subscribed(1)
  connection.send({ type: 'expiring', expiresAt: inAMinute })
  await settle(connection, 1)
  clock.pass(4_900)
  await settle(connection, 2)
  assert.equal(asked, 1)
  clock.pass(200)
  assert.equal((await connection.next('auth')).token, 'token 2')
})

test('the same token again is not sent, and another one is asked for later', async () => {
  const clock = new HandClock()
  const tokens = ['old', 'old', 'new']
  const given = new Recorder<string | undefined>('tokens')
  const getToken = () => {
    const token = tokens.shift() ?? 'none left'
    given.push(token)
    return token
  }
  use({ getToken, clock })
  client.subscribe(sessionId, {}, watching)
  const connection = await peer.connections.next()
  await connection.subscribed(1)
  clock.pass(30_000)
  connection.send({ type: 'expiring', expiresAt: inAMinute })
  await given.next(() => given.items.length === 2)
  await settle(connection, 1)
  assert.ok(connection.received.items.every(({ type }) => type !== 'auth'))
  clock.pass(5_000)
  assert.equal((await connection.next('auth')).token, 'new')
})

test('a new token that cannot be checked is no end; the next one is asked for', async () => {
  const clock = new HandClock()
  const errors = new Recorder<ReliveError>('errors of the list')
  use({ getToken: numbered.now, clock })
  const lists = new Recorder<number>('sizes of the list')
  client.watchSessions({}, { onError: (error) => errors.push(error), onSessions: ({ size }) => lists.push(size) })
  const connection = await peer.connections.next()
  connection.send({ type: 'sessions', sessions: [] })
  await lists.next()
  clock.pass(30_000)
  connection.send({ type: 'expiring', expiresAt: inAMinute })
  await connection.next('auth')
  connection.send({ type: 'error', code: 'unavailable', message: 'the issuer does not answer', retryable: true })
  connection.send({ type: 'session', change: 'added', session: summary })
  await lists.next((size) => size === 1)
  clock.pass(5_000)
  assert.equal((await connection.next('auth')).token, 'token 3')
  assert.deepEqual(errors.items, [])
})

test('after 4401 everything comes back with a new token', async () => {
  use({ getToken: numbered.later })
  const states = recordStates(client)
  const errors = new Recorder<ReliveError>('errors of the list')
  client.subscribe(sessionId, {}, watching)
  const many = await peer.connections.next()
  await many.next('subscribe')
  client.watchSessions({}, { onError: (error) => errors.push(error) })
  const list = await peer.connections.next()
  for (const connection of [many, list]) {
    connection.send({ type: 'error', code: 'unauthorized', message: 'the token has expired', retryable: false })
    connection.close(4401)
  }
  const again = [await peer.connections.next(), await peer.connections.next()]
  assert.deepEqual(again.map(({ path }) => path).sort(), ['/ws', '/ws/sessions'])
  for (const connection of again) assert.ok(Number(tokenOf(connection)?.slice(6)) > 2)
  const waiting = await states.next(({ state }) => state === 'waiting')
  assert.deepEqual([waiting.error?.code, waiting.error?.message], ['unauthorized', 'the token has expired'])
  assert.deepEqual([errors.items, watching.errors.items], [[], []])
})

test('a token that is a plain text and has expired is the end', async () => {
  use({ getToken: 'old' })
  client.subscribe(sessionId, {}, watching)
  const connection = await peer.connections.next()
  connection.close(4401)
  const error = await watching.errors.next()
  assert.deepEqual([error.code, error.closeCode, error.retryable], ['unauthorized', 4401, false])
  assert.equal(client.connection.state, 'closed')
})

for (const [closeCode, code] of [
  [4500, 'unauthorized'],
  [4503, 'forbidden'],
] as const) {
  test(`${closeCode} is the end, and the error says why`, async () => {
    use({ getToken: numbered.later })
    const why = 'this needs the role operator'
    const errors = new Recorder<ReliveError>('errors')
    const onError = (error: ReliveError) => errors.push(error)
    client.subscribe(sessionId, {}, { onError })
    client.watchSessions({}, { onError })
    client.replay(sessionId, {}, { onError })
    for (let count = 0; count < 3; count += 1) {
      const connection = await peer.connections.next()
      connection.send({ type: 'error', code, message: why, retryable: false })
      connection.close(closeCode)
      const error = await errors.next()
      assert.deepEqual([error.code, error.closeCode, error.message, error.retryable], [code, closeCode, why, false])
    }
    assert.equal(peer.connections.items.length, 3)
  })
}

test('a request that is answered with 401 is repeated once, with a new token', async () => {
  use({ getToken: numbered.later })
  const body = '{"scopes":["read:sessions"]}'
  const answer = client.fetch('/api/v1/tokens', { method: 'POST', body, headers: { 'idempotency-key': 'k' } })
  const first = await peer.requests.next()
  first.answer({}, 401)
  const second = await peer.requests.next()
  assert.deepEqual([first.authorization, second.authorization], ['Bearer token 1', 'Bearer token 2'])
  for (const { method, path, body: sent } of [first, second])
    assert.deepEqual([method, path, sent], ['POST', '/api/v1/tokens', body])
  second.answer({ token: 't' }, 201)
  assert.deepEqual(await (await answer).json(), { token: 't' })

  const refused = client.fetch('/api/v1/me')
  const third = await peer.requests.next()
  assert.equal(third.authorization, 'Bearer token 2')
  third.answer({}, 401)
  const fourth = await peer.requests.next()
  assert.equal(fourth.authorization, 'Bearer token 3')
  fourth.answer({}, 401)
  assert.equal((await refused).status, 401)
  assert.equal(peer.requests.items.length, 4)
})

test('a plain text is not sent a second time', async () => {
  use({ getToken: 'rlv_key' })
  const answer = client.fetch('/api/v1/me')
  const request = await peer.requests.next()
  assert.equal(request.authorization, 'Bearer rlv_key')
  request.answer({}, 401)
  assert.equal((await answer).status, 401)
  assert.equal(peer.requests.items.length, 1)
})

test('older pages of a list are read with the token, which is in no address', async () => {
  use({ getToken: numbered.later })
  const lists = new Recorder<number>('sizes of the list')
  const list = client.watchSessions({ limit: 1 }, { onSessions: ({ size }) => lists.push(size) })
  const connection = await peer.connections.next()
  connection.send({ type: 'sessions', sessions: [{ ...summary, id: 'b' }], nextCursor: 'c' })
  await lists.next()
  const read = list.readMore()
  const request = await peer.requests.next()
  assert.equal(request.authorization, 'Bearer token 1')
  request.answer({ sessions: [{ ...summary, id: 'a', createdAt: '2020-01-01T00:00:00.000Z' }] })
  await read
  assert.deepEqual([...list.sessions.keys()], ['b', 'a'])
  assert.ok(![request.path, connection.path].some((path) => path.includes('token')))
})

test('a function that fails is asked again, unless it says that this is no use', async () => {
  const failures = [new Error('away'), new ReliveError('unauthorized', 'signed out', false)]
  use({
    getToken: () => {
      asked += 1
      throw failures.shift() ?? new Error('asked too often')
    },
  })
  const states = recordStates(client)
  client.subscribe(sessionId, {}, watching)
  const waiting = await states.next(({ state }) => state === 'waiting')
  assert.equal(waiting.error?.code, 'unauthorized')
  const error = await watching.errors.next()
  assert.deepEqual([error.code, error.message], ['unauthorized', 'signed out'])
  assert.deepEqual([asked, peer.connections.items.length], [2, 0])
})

test('sockets and requests that begin together share one question', async () => {
  let give = (_: string) => {}
  const getToken = () => {
    asked += 1
    return new Promise<string>((resolve) => (give = resolve))
  }
  use({ getToken })
  client.subscribe(sessionId)
  client.watchSessions({})
  const answer = client.fetch('/api/v1/me')
  give('one')
  assert.deepEqual([tokenOf(await peer.connections.next()), tokenOf(await peer.connections.next())], ['one', 'one'])
  const request = await peer.requests.next()
  assert.equal(request.authorization, 'Bearer one')
  request.answer({})
  await answer
  assert.equal(asked, 1)
})
