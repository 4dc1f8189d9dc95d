import assert from 'node:assert/strict'
import { afterEach, beforeEach, test } from 'node:test'
import type { EndFrame, Recorded, ReliveClient, ReliveError, ReplayState, WorkflowSession } from '../src/index.js'
import { serverFrames } from './frames.js'
import { delta, event, Peer, sessionId, snapshot } from './peer.js'
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

const path = `/ws/sessions/${sessionId}/replay`

function stateAt(revision: number, more: Partial<ReplayState> = {}) {
  return { ...serverFrames.replayState, revision, speed: 2, playing: false, ...more }
}

function recordAll() {
  const sessions = new Recorder<WorkflowSession>('sessions')
  const events = new Recorder<Recorded>('events')
  const states = new Recorder<ReplayState>('states')
  const ends = new Recorder<EndFrame>('ends')
  const refused = new Recorder<ReliveError>('refusals')
  const errors = new Recorder<ReliveError>('errors')
  const handlers = {
    onSession: (session: WorkflowSession) => sessions.push(session),
    onEvent: (recorded: Recorded) => events.push(recorded),
    onState: (state: ReplayState) => states.push(state),
    onEnd: (end: EndFrame) => ends.push(end),
    onRefused: (error: ReliveError) => refused.push(error),
    onError: (error: ReliveError) => errors.push(error),
  }
  return { handlers, sessions, events, states, ends, refused, errors }
}

test('a replay shows states, also earlier ones, and says where it stands', async () => {
  const { handlers, sessions, states, ends } = recordAll()
  const replay = client.replay(sessionId, { mode: 'delta', speed: 'max', from: 3, skipIdleMs: 100 }, handlers)
  const connection = await peer.connections.next()
  assert.equal(connection.path, `${path}?paused=true&mode=delta&speed=max&from=3&skipIdleMs=100`)
  assert.equal((await connection.next('replay')).action, 'play')
  connection.send(snapshot(3), stateAt(3), delta(3, 4, { totalTokens: 9 }), snapshot(2), delta(2, 3, {}))
  const revisions = []
  for (let count = 0; count < 4; count += 1) revisions.push((await sessions.next()).revision)
  assert.deepEqual(revisions, [3, 4, 2, 3])
  assert.equal(replay.session?.revision, 3)
  const { type: _, ...said } = stateAt(3)
  assert.deepEqual(await states.next(), said)
  assert.deepEqual(replay.state, said)
  connection.send({ type: 'end', sessionId, status: 'completed', revision: 3 })
  assert.equal((await ends.next()).revision, 3)
})

test('a replay can stand elsewhere than at its beginning, which is then not shown', async () => {
  for (const [at, seek] of [
    [7, { revision: 7 }],
    ['2026-01-31T08:15:30.250Z', { at: '2026-01-31T08:15:30.250Z' }],
  ] as const) {
    const { handlers, sessions, states } = recordAll()
    const replay = client.replay(sessionId, { from: 2, at }, handlers)
    const connection = await peer.connections.next()
    assert.equal(connection.path, `${path}?paused=true&from=2`)
    connection.send(snapshot(2), stateAt(2))
    assert.deepEqual(await connection.next('replay'), { type: 'replay', action: 'seek', ...seek })
    assert.deepEqual(await connection.next('replay'), { type: 'replay', action: 'play' })
    connection.send(snapshot(7), stateAt(7))
    assert.equal((await states.next()).revision, 7)
    assert.deepEqual(
      sessions.items.map(({ revision }) => revision),
      [7],
    )
    replay.close()
  }
})

test('every control is one frame', async () => {
  const { handlers, states } = recordAll()
  const replay = client.replay(sessionId, { paused: true }, handlers)
  assert.equal(replay.pause(), false, 'not connected yet')
  const connection = await peer.connections.next()
  connection.send(snapshot(1), stateAt(1))
  await states.next()
  assert.ok(
    replay.play() && replay.pause() && replay.seek({ revision: 7 }) && replay.seek({ at: '2026-01-31T08:15:30.250Z' }),
  )
  assert.ok(replay.step() && replay.step(-1) && replay.setSpeed('max') && replay.setSpeed(0.5))
  const frames = []
  for (let count = 0; count < 8; count += 1) frames.push(await connection.next('replay'))
  assert.deepEqual(frames, [
    { type: 'replay', action: 'play' },
    { type: 'replay', action: 'pause' },
    { type: 'replay', action: 'seek', revision: 7 },
    { type: 'replay', action: 'seek', at: '2026-01-31T08:15:30.250Z' },
    { type: 'replay', action: 'step', by: 1 },
    { type: 'replay', action: 'step', by: -1 },
    { type: 'replay', action: 'speed', speed: 'max' },
    { type: 'replay', action: 'speed', speed: 0.5 },
  ])
})

test('a new connection goes on where the one before was lost', async () => {
  const { handlers, events, sessions, states } = recordAll()
  client.replay(sessionId, { mode: 'events' }, handlers)
  const first = await peer.connections.next()
  assert.equal((await first.next('replay')).action, 'play')
  first.send(event(1), stateAt(1, { playing: true }), event(2), stateAt(2, { playing: true }))
  await states.next(({ revision }) => revision === 2)
  first.cut()
  const second = await peer.connections.next()
  second.send(event(1), stateAt(1))
  assert.deepEqual(await second.next('replay'), { type: 'replay', action: 'seek', revision: 2 })
  assert.deepEqual(await second.next('replay'), { type: 'replay', action: 'speed', speed: 2 })
  assert.deepEqual(await second.next('replay'), { type: 'replay', action: 'play' })
  second.send(snapshot(2), stateAt(2, { playing: true }), event(3))
  assert.equal((await sessions.next()).revision, 2)
  await events.next(({ revision }) => revision === 3)
  assert.deepEqual(
    events.items.map(({ revision }) => revision),
    [1, 2, 3],
    'what was seen is not shown again',
  )
})

test('a patch that does not fit makes the connection anew', async () => {
  const { handlers, sessions } = recordAll()
  client.replay(sessionId, { mode: 'delta' }, handlers)
  const first = await peer.connections.next()
  first.send(snapshot(1), stateAt(1, { playing: true }), delta(5, 6, {}))
  const second = await peer.connections.next()
  second.send(snapshot(1), stateAt(1))
  assert.equal((await second.next('replay')).action, 'seek')
  assert.equal(sessions.items.length, 1)
})

test('a refused control leaves the replay as it is; a closed one is over', async () => {
  const { handlers, refused, errors } = recordAll()
  const replay = client.replay(sessionId, {}, handlers)
  const connection = await peer.connections.next()
  connection.send(snapshot(1), { type: 'error', code: 'bad_request', message: 'no', retryable: false })
  assert.equal((await refused.next()).code, 'bad_request')
  assert.equal(replay.connection.state, 'open')
  connection.close(4504)
  assert.equal((await errors.next()).code, 'not_found')
  assert.equal(replay.connection.state, 'closed')
  assert.equal(replay.play(), false)
})
