import assert from 'node:assert/strict'
import { afterEach, beforeEach, test } from 'node:test'
import { sessionsAtMost, type ReliveClient, type ReliveError, type SessionSummary } from '../src/index.js'
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
  assert.deepEqual([...watch.sessions].map(([id, { revision }]) => [id, revision]), [['d', 1], ['a', 3]])
  watch.close()
  await second.closed
})

test('an older session that comes later stands where it belongs, and the oldest of too many are let go', async () => {
  const lists = new Recorder<ReadonlyMap<string, SessionSummary>>('lists')
  client.watchSessions({}, { onSessions: (sessions) => lists.push(sessions) })
  const connection = await peer.connections.next()
  const created = (id: string, day: number) => ({ ...summaryOf(id, 1), createdAt: new Date(Date.UTC(2026, 0, 1 + day)).toISOString() })
  const full = Array.from({ length: sessionsAtMost - 1 }, (_, index) => created(`s${index}`, 2 * (sessionsAtMost - index)))
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

test('a list that is refused is over', async () => {
  const errors = new Recorder<ReliveError>('errors')
  const watch = client.watchSessions({}, { onError: (error) => errors.push(error) })
  const connection = await peer.connections.next()
  assert.equal(connection.path, '/ws/sessions')
  connection.close(4503)
  assert.equal((await errors.next()).code, 'forbidden')
  assert.equal(watch.connection.state, 'closed')
})
