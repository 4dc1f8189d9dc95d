import assert from 'node:assert/strict'
import { afterEach, beforeEach, test } from 'node:test'
import type { ReliveClient, ServerFrame } from '../src/index.js'
import { delta, event, Peer, sessionAt, sessionId, snapshot } from './peer.js'
import { makeClient, Watching } from './watching.js'

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

const staleTime = '2020-01-01T00:00:00.000Z'

/** A frame that a test can tell from the one that should arrive in its place. */
function stale(frame: ServerFrame): ServerFrame {
  return frame.type === 'event' ? { ...frame, at: staleTime } : frame
}

test('a subscription carries its options and shows what comes', async () => {
  const subscription = client.subscribe(sessionId, { messages: true, minIntervalMs: 50 }, watching)
  const connection = await peer.connections.next()
  assert.equal(connection.path, '/ws')
  assert.deepEqual(await connection.subscribed(3), {
    type: 'subscribe',
    sessionId,
    mode: 'snapshot',
    messages: true,
    minIntervalMs: 50,
  })
  connection.send(snapshot(3))
  assert.equal(await watching.sessions.next(), subscription.session)
  assert.equal(subscription.revision, 3)
  assert.ok(Object.isFrozen(subscription.session))
})

test('after a lost connection it goes on from the revision it holds', async () => {
  client.subscribe(sessionId, { mode: 'delta' }, watching)
  const first = await peer.connections.next()
  assert.equal((await first.subscribed(3)).after, undefined)
  first.send(snapshot(3), delta(3, 5, { totalTokens: 7 }))
  await watching.sessions.next(({ revision }) => revision === 5)
  first.cut()

  const second = await peer.connections.next()
  assert.equal((await second.subscribed(6)).after, 5)
  second.send(delta(5, 6, { status: 'paused' }))
  const session = await watching.sessions.next()
  assert.deepEqual(session, { ...sessionAt(6), totalTokens: 7, status: 'paused' })
})

test('a state fetched elsewhere is what it begins from', async () => {
  client.subscribe(sessionId, { mode: 'delta', session: sessionAt(4) }, watching)
  const connection = await peer.connections.next()
  assert.equal((await connection.subscribed(4)).after, 4)
  connection.send(delta(4, 5, { totalTokens: 1 }))
  assert.deepEqual(await watching.sessions.next(), { ...sessionAt(5), totalTokens: 1 })
})

test('deltas are folded, and untouched nodes stay the same objects', async () => {
  client.subscribe(sessionId, { mode: 'delta' }, watching)
  const connection = await peer.connections.next()
  await connection.subscribed(3)
  connection.send(
    snapshot(3, { a: { id: 'a', status: 'running', progress: 0.5 }, b: { id: 'b', status: 'pending' } }),
    delta(3, 4, { nodes: { a: { status: 'completed', progress: null } } }),
  )
  const before = await watching.sessions.next()
  const after = await watching.sessions.next()
  assert.deepEqual(after.nodes.a, { id: 'a', status: 'completed' })
  assert.equal(after.nodes.b, before.nodes.b)
  assert.equal(before.nodes.a?.status, 'running')
})

test('a delta on another base brings a whole snapshot', async () => {
  client.subscribe(sessionId, { mode: 'delta' }, watching)
  const connection = await peer.connections.next()
  await connection.subscribed(3)
  connection.send(snapshot(3), delta(4, 6, { totalTokens: 9 }))
  const again = await connection.subscribed(7)
  assert.equal(again.after, undefined)
  connection.send(snapshot(7))
  await watching.sessions.next(({ revision }) => revision === 7)
  assert.deepEqual(
    watching.sessions.items.map(({ revision }) => revision),
    [3, 7],
  )
})

test('what is shown never goes back', async () => {
  client.subscribe(sessionId, { mode: 'delta' }, watching)
  const connection = await peer.connections.next()
  await connection.subscribed(5)
  connection.send(snapshot(5), snapshot(4), snapshot(5), delta(3, 4, { totalTokens: 1 }), snapshot(6))
  await watching.sessions.next(({ revision }) => revision === 6)
  assert.deepEqual(
    watching.sessions.items.map(({ revision }) => revision),
    [5, 6],
  )
})

test('events come once, in order, and a gap is asked for again', async () => {
  client.subscribe(sessionId, { mode: 'events', after: 1 }, watching)
  const connection = await peer.connections.next()
  assert.equal((await connection.subscribed(4)).after, 1)
  connection.send(event(2), event(2), event(4))
  assert.equal((await connection.next('unsubscribe')).sessionId, sessionId)
  // Still from before the new subscription: to be passed over although it would fit.
  connection.send(stale(event(3)))
  assert.equal((await connection.subscribed(4)).after, 2)
  connection.send(event(3), event(4))
  await watching.events.next(({ revision }) => revision === 4)
  assert.ok(watching.events.items.every(({ at }) => at !== staleTime))
  assert.deepEqual(
    watching.events.items.map(({ revision }) => revision),
    [2, 3, 4],
  )
})

test('a gap that stays makes a new connection, instead of asking without end', async () => {
  client.subscribe(sessionId, { mode: 'events' }, watching)
  const connection = await peer.connections.next()
  await connection.subscribed(9)
  connection.send(event(9))
  await connection.subscribed(9)
  connection.send(event(9))
  const second = await peer.connections.next()
  assert.equal((await second.subscribed(9)).after, 0)
})

test('the end is handed over, and an ended session is not asked for again', async () => {
  const subscription = client.subscribe(sessionId, {}, watching)
  const first = await peer.connections.next()
  await first.subscribed(9)
  first.send(snapshot(9), { type: 'end', sessionId, status: 'completed', revision: 9 })
  assert.equal((await watching.ends.next()).status, 'completed')
  assert.equal(subscription.end?.revision, 9)
  first.cut()

  const second = await peer.connections.next()
  const receipt = client.command(sessionId, { type: 'pause' })
  const { id } = await second.next('command')
  second.send({ type: 'error', id, sessionId, code: 'illegal_transition', message: 'it has ended', retryable: false })
  await assert.rejects(receipt, { code: 'illegal_transition' })
  assert.deepEqual(
    second.received.items.map(({ type }) => type),
    ['command'],
  )
  // The refused command was not the subscription's business.
  assert.deepEqual(watching.errors.items, [])
})

test('an end that outruns its last state waits for it', async () => {
  client.subscribe(sessionId, {}, watching)
  const connection = await peer.connections.next()
  await connection.subscribed(8)
  connection.send(snapshot(8), { type: 'end', sessionId, status: 'failed', revision: 9 })
  assert.equal((await connection.subscribed(9)).after, undefined)
  assert.equal(watching.ends.items.length, 0)
  connection.send(snapshot(9), { type: 'end', sessionId, status: 'failed', revision: 9 })
  await watching.ends.next()
  assert.deepEqual(
    watching.sessions.items.map(({ revision }) => revision),
    [8, 9],
  )
})

test('a refused subscription is over; one refused for now is tried again', async () => {
  const other = new Watching()
  const otherId = '0198c0de-0000-7000-8000-000000000009'
  client.subscribe(sessionId, {}, watching)
  client.subscribe(otherId, {}, other)
  const connection = await peer.connections.next()
  await connection.next('subscribe')
  await connection.next('subscribe')
  connection.send({ type: 'error', sessionId, code: 'not_found', message: 'no such session', retryable: false })
  connection.send({ type: 'error', sessionId: otherId, code: 'unavailable', message: 'later', retryable: true })
  assert.equal((await watching.errors.next()).code, 'not_found')
  assert.equal((await connection.next('subscribe')).sessionId, otherId)
  assert.deepEqual(other.errors.items, [])
})

test('frames of a subscription given up do not reach the next one', async () => {
  const old = client.subscribe(sessionId, {}, new Watching())
  const connection = await peer.connections.next()
  await connection.next('subscribe')
  old.unsubscribe()
  client.subscribe(sessionId, { mode: 'events' }, watching)
  await connection.next('subscribe')
  connection.send({ type: 'subscribed', sessionId, revision: 1, mode: 'snapshot' }, stale(event(1)))
  connection.send({ type: 'subscribed', sessionId, revision: 1, mode: 'events' }, event(1))
  assert.notEqual((await watching.events.next()).at, staleTime)
  assert.throws(() => client.subscribe(sessionId), /already/)
})

test('log lines come once, in order with messages', async () => {
  client.subscribe(sessionId, { logs: true, messages: true }, watching)
  const connection = await peer.connections.next()
  assert.equal((await connection.subscribed(3)).logs, true)
  const log = { sessionId, revision: 2, nodeId: 'a', level: 'info', text: 'one', at: sessionAt(1).createdAt } as const
  const frame = { type: 'log', sessionId, revision: 2, log } as const
  connection.send(frame, frame)
  connection.send({ ...frame, revision: 3, log: { ...log, revision: 3, text: 'two' } })
  await watching.logs.next(({ text }) => text === 'two')
  assert.deepEqual(
    watching.logs.items.map(({ text }) => text),
    ['one', 'two'],
  )
})

test('messages come once', async () => {
  client.subscribe(sessionId, { messages: true }, watching)
  const connection = await peer.connections.next()
  await connection.subscribed(3)
  const message = {
    id: sessionId,
    sessionId,
    nodeId: 'a',
    role: 'agent',
    content: 'Once',
    isThinking: false,
    isStreaming: false,
    tokenCount: 1,
    createdAt: sessionAt(1).createdAt,
  } as const
  connection.send(
    { type: 'message', sessionId, revision: 2, message },
    { type: 'message', sessionId, revision: 2, message },
  )
  connection.send({ type: 'message', sessionId, revision: 3, message: { ...message, content: 'upon' } })
  await watching.messages.next(({ content }) => content === 'upon')
  assert.equal(watching.messages.items.length, 2)
})
