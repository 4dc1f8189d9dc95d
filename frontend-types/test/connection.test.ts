import assert from 'node:assert/strict'
import { afterEach, beforeEach, test } from 'node:test'
import { Backoff } from '../src/backoff.js'
import { type ReliveClient, shouldReconnect } from '../src/index.js'
import { socketUrl } from '../src/web-socket.js'
import { Peer, sessionId, snapshot } from './peer.js'
import { Recorder } from './recorder.js'
import { makeClient, recordStates, Watching } from './watching.js'

let peer: Peer
let client: ReliveClient
let watching: Watching

beforeEach(async () => {
  peer = await Peer.start()
  client = makeClient(peer.url)
  watching = new Watching()
})

afterEach(() => {
  client.close()
  peer.stop()
})

test('a connection is made when first needed, and its state can be watched', async () => {
  const states = recordStates(client)
  assert.equal(client.connection.state, 'idle')
  client.subscribe(sessionId, {}, watching)
  const connection = await peer.connections.next()
  await states.next(({ state }) => state === 'open')
  assert.equal(client.lastFrameAt, undefined)
  await connection.subscribed(1)
  connection.send(snapshot(1))
  await watching.sessions.next()
  assert.ok(Math.abs(Date.now() - (client.lastFrameAt ?? 0)) < 60_000)
  connection.close(1001)
  const waiting = await states.next(({ state }) => state === 'waiting')
  assert.equal(typeof waiting.retryAt, 'number')
  await states.next(({ state }) => state === 'open')
  client.close()
  await states.next(({ state }) => state === 'closed')
  assert.deepEqual(
    states.items.map(({ state }) => state),
    ['connecting', 'open', 'waiting', 'connecting', 'open', 'closed'],
  )
})

test('a session that does not exist is not asked for again', async () => {
  client.subscribe(sessionId, {}, watching)
  const receipt = client.command(sessionId, { type: 'start' })
  const connection = await peer.connections.next()
  await connection.next('command')
  connection.close(4504)
  const error = await watching.errors.next()
  assert.deepEqual([error.code, error.closeCode, error.retryable], ['not_found', 4504, false])
  await assert.rejects(receipt, { code: 'not_found', closeCode: 4504 })
  assert.equal(client.connection.state, 'closed')
  assert.equal(client.connection.error, error)
  assert.equal(peer.connections.items.length, 1)
})

test('after a final close, asking for something anew connects anew', async () => {
  client.subscribe(sessionId, {}, watching)
  const first = await peer.connections.next()
  await first.next('subscribe')
  first.close(4500)
  await watching.errors.next()
  client.subscribe(sessionId, {}, watching)
  const second = await peer.connections.next()
  await second.next('subscribe')
})

test('the close code says whether to come back', () => {
  for (const code of [1001, 1005, 1006, 1011, 1012, 1013, 4000, 4401, 4408, 4410, 4429, 4499])
    assert.ok(shouldReconnect(code), String(code))
  for (const code of [1000, 1002, 1007, 1009, 4500, 4501, 4503, 4504, 4999])
    assert.ok(!shouldReconnect(code), String(code))
})

test('a silent connection is asked, and given up when it does not answer', async () => {
  client.close()
  client = makeClient(peer.url, { heartbeat: { idleMs: 50, answerMs: 500 } })
  client.subscribe(sessionId, {}, watching)
  const first = await peer.connections.next()
  await first.next('ping')
  first.send({ type: 'pong' })
  // The answer kept the connection: the next question comes on the same one.
  await first.next('ping')
  assert.equal(peer.connections.items.length, 1)
  const second = await peer.connections.next()
  await second.next('subscribe')
})

test('what is not a frame ends the connection, and a frame of a newer server does not', async () => {
  client.subscribe(sessionId, {}, watching)
  const first = await peer.connections.next()
  await first.subscribed(1)
  first.sendText(JSON.stringify({ type: 'later', sessionId }))
  first.send(snapshot(1))
  await watching.sessions.next()
  first.sendText('<html>')
  const second = await peer.connections.next()
  assert.equal((await second.next('subscribe')).after, 1)
})

test('a listener that throws does not stop the client', async (context) => {
  // Where such an error comes out is the platform's business; here it must not end the test.
  const thrown = new Recorder<unknown>('what was thrown')
  context.mock.method(globalThis, 'queueMicrotask', (run: () => void) => {
    try {
      run()
    } catch (error) {
      thrown.push(error)
    }
  })
  client.subscribe(
    sessionId,
    {},
    {
      onSession(session) {
        watching.onSession(session)
        if (session.revision === 1) throw new Error('broken view')
      },
    },
  )
  const connection = await peer.connections.next()
  await connection.subscribed(1)
  connection.send(snapshot(1), snapshot(2))
  await watching.sessions.next(({ revision }) => revision === 2)
  assert.match(String(await thrown.next()), /broken view/)
})

test('waits grow, are spread out, and start over', () => {
  const backoff = new Backoff({ firstMs: 250, mostMs: 10_000, random: () => 0.5 })
  const waits = Array.from({ length: 8 }, () => backoff.next())
  assert.deepEqual(waits, [125, 250, 500, 1_000, 2_000, 4_000, 5_000, 5_000])
  backoff.reset()
  assert.equal(backoff.next(), 125)
})

test('the address may be given in either scheme, with a path', () => {
  assert.equal(socketUrl('http://127.0.0.1:7400', '/ws'), 'ws://127.0.0.1:7400/ws')
  assert.equal(
    socketUrl('https://example.org/relive/', '/ws/sessions?limit=5'),
    'wss://example.org/relive/ws/sessions?limit=5',
  )
  assert.equal(socketUrl('wss://example.org', '/ws'), 'wss://example.org/ws')
})
