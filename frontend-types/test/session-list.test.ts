import assert from 'node:assert/strict'
import { afterEach, beforeEach, test } from 'node:test'
import { type ReliveClient, type ReliveError, type SessionSummary, sessionsAtMost } from '../src/index.js'
import { summary } from './frames.js'
import { Peer } from './peer.js'
import { Recorder } from './recorder.js'
import { makeClient } from './watching.js'

let peer: Peer
let client: ReliveClient

beforeEach(async () => {
  peer = await Peer.start()
  client = makeClient(peer.url)
})

afterEach(() => {
  client.close()
  peer.stop()
})

function summaryOf(id: string, revision: number): SessionSummary {
  return { ...summary, id, revision }
}

test('tags are separated by commas, and a comma within one is no separator', async () => {
  client.watchSessions({ tag: ['etl', 'a,b', 'c\\d'], name: 'x, y' })
  const { path } = await peer.connections.next()
  const { searchParams } = new URL(path, peer.url)
  assert.equal(searchParams.get('tag'), 'etl,a\\,b,c\\\\d')
  assert.equal(searchParams.get('name'), 'x, y')
  client.watchSessions({ tag: 'one, only' })
  assert.equal(new URL((await peer.connections.next()).path, peer.url).searchParams.get('tag'), 'one\\, only')
})

test('the live list follows what is added, changed and removed', async () => {
  const lists = new Recorder<ReadonlyMap<string, SessionSummary>>('lists')
  const watch = client.watchSessions(
    { status: ['running', 'paused'], limit: 10 },
    { onSessions: (sessions) => lists.push(sessions) },
  )
  const first = await peer.connections.next()
  assert.equal(first.path, '/ws/sessions?status=running%2Cpaused&limit=10')
  first.send({ type: 'sessions', sessions: [summaryOf('b', 4), summaryOf('a', 2)] })
  const before = await lists.next()
  first.send({ type: 'session', change: 'added', session: summaryOf('c', 1) })
  assert.deepEqual([...(await lists.next()).keys()], ['c', 'b', 'a'])
  first.send({ type: 'session', change: 'changed', session: summaryOf('a', 1) })
  first.send({ type: 'session', change: 'changed', session: summaryOf('a', 3) })
  const changed = await lists.next()
  assert.equal(changed.get('a')?.revision, 3)
  assert.equal(changed.get('b'), before.get('b'))
  first.send({ type: 'session', change: 'removed', session: summaryOf('b', 5) })
  assert.deepEqual([...(await lists.next()).keys()], ['c', 'a'])
  first.cut()

  const second = await peer.connections.next()
  assert.equal(second.path, first.path)
  second.send({ type: 'sessions', sessions: [summaryOf('d', 1), summaryOf('a', 2)] })
  await lists.next()
  assert.deepEqual(
    [...watch.sessions].map(([id, { revision }]) => [id, revision]),
    [
      ['d', 1],
      ['a', 3],
    ],
  )
  watch.close()
  await second.closed
})

test('an older session that comes later stands where it belongs, and the oldest of too many are let go', async () => {
  const lists = new Recorder<ReadonlyMap<string, SessionSummary>>('lists')
  client.watchSessions({}, { onSessions: (sessions) => lists.push(sessions) })
  const connection = await peer.connections.next()
  const created = (id: string, day: number) => ({
    ...summaryOf(id, 1),
    createdAt: new Date(Date.UTC(2026, 0, 1 + day)).toISOString(),
  })
  const full = Array.from({ length: sessionsAtMost - 1 }, (_, index) =>
    created(`s${index}`, 2 * (sessionsAtMost - index)),
  )
  connection.send({ type: 'sessions', sessions: full })
  await lists.next()
  connection.send({ type: 'session', change: 'added', session: created('between', 2 * sessionsAtMost - 1) })
  assert.deepEqual([...(await lists.next()).keys()].slice(0, 3), ['s0', 'between', 's1'])
  // Full: what is older than all is not taken in, and what is newer takes the place of the oldest.
  connection.send({ type: 'session', change: 'changed', session: created('oldest', 0) })
  connection.send({ type: 'session', change: 'added', session: created('newest', 3 * sessionsAtMost) })
  const held = [...(await lists.next()).keys()]
  assert.deepEqual(held.slice(0, 3), ['newest', 's0', 'between'])
  assert.equal(held.length, sessionsAtMost)
  assert.equal(held.at(-1), `s${sessionsAtMost - 3}`)
})

/** Day `n` of a year: the greater, the newer. */
function on(id: string, day: number, revision = 1): SessionSummary {
  return { ...summaryOf(id, revision), createdAt: new Date(Date.UTC(2026, 0, day)).toISOString() }
}

test('older pages are read into the list, and changes that overtake them are kept', async () => {
  const watch = client.watchSessions({ status: 'running', limit: 2 })
  const connection = await peer.connections.next()
  connection.send({ type: 'sessions', sessions: [on('e', 5), on('d', 4)], nextCursor: 'after d' })
  await until(() => watch.hasMore)
  const reading = watch.readMore()
  const again = watch.readMore()
  const request = await peer.requests.next()
  assert.equal(request.path, '/api/v1/sessions?status=running&limit=2&cursor=after+d')
  // While the page is on its way, one of its rows leaves the list and one changes.
  connection.send(
    { type: 'session', change: 'removed', session: on('c', 3, 2) },
    { type: 'session', change: 'added', session: on('b', 2, 7) },
  )
  await until(() => watch.sessions.has('b'))
  request.answer({ sessions: [on('c', 3), on('b', 2)], nextCursor: 'after b' })
  await Promise.all([reading, again])
  assert.deepEqual(
    [...watch.sessions].map(([id, { revision }]) => [id, revision]),
    [
      ['e', 1],
      ['d', 1],
      ['b', 7],
    ],
  )
  const last = watch.readMore()
  const next = await peer.requests.next()
  assert.equal(next.path, '/api/v1/sessions?status=running&limit=2&cursor=after+b')
  next.answer({ sessions: [on('a', 1)] })
  await last
  assert.deepEqual([...watch.sessions.keys()], ['e', 'd', 'b', 'a'])
  assert.equal(watch.hasMore, false)
})

test('after a lost connection older rows stay until their pages have been read again', async () => {
  const watch = client.watchSessions({ limit: 2 })
  const first = await peer.connections.next()
  first.send({ type: 'sessions', sessions: [on('f', 6), on('e', 5)], nextCursor: 'after e' })
  await until(() => watch.hasMore)
  const reading = watch.readMore()
  ;(await peer.requests.next()).answer({ sessions: [on('d', 4), on('c', 3)], nextCursor: 'after c' })
  await reading
  const more = watch.readMore()
  ;(await peer.requests.next()).answer({ sessions: [on('b', 2), on('a', 1)] })
  await more
  first.cut()

  // Meanwhile g was created, e and c were deleted and b went on.
  const second = await peer.connections.next()
  second.send({ type: 'sessions', sessions: [on('g', 7), on('f', 6)], nextCursor: 'after f' })
  ;(await peer.requests.next()).answer({}, 503)
  assert.deepEqual([...watch.sessions.keys()], ['g', 'f', 'e', 'd', 'c', 'b', 'a'])
  ;(await peer.requests.next()).answer({ sessions: [on('d', 4), on('b', 2, 5)], nextCursor: 'after b' })
  await until(() => !watch.sessions.has('c'))
  assert.deepEqual(
    [...watch.sessions].map(([id, { revision }]) => [id, revision]),
    [
      ['g', 1],
      ['f', 1],
      ['d', 1],
      ['b', 5],
      ['a', 1],
    ],
  )
  ;(await peer.requests.next()).answer({ sessions: [] })
  await until(() => !watch.sessions.has('a'))
  assert.deepEqual([...watch.sessions.keys()], ['g', 'f', 'd', 'b'])
})

/** Waits for a condition that frames or answers bring about. */
async function until(condition: () => boolean): Promise<void> {
  const deadline = Date.now() + 5_000
  while (!condition()) {
    assert.ok(Date.now() < deadline, 'the condition was not met in time')
    await new Promise((resolve) => setImmediate(resolve))
  }
}

test('a list that is refused is over', async () => {
  const errors = new Recorder<ReliveError>('errors')
  const watch = client.watchSessions({}, { onError: (error) => errors.push(error) })
  const connection = await peer.connections.next()
  assert.equal(connection.path, '/ws/sessions')
  connection.close(4503)
  assert.equal((await errors.next()).code, 'forbidden')
  assert.equal(watch.connection.state, 'closed')
})
