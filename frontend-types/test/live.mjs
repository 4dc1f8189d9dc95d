// Runs the built client against a running server:
//
//     [RELIVE_TOKEN=KEY] node test/live.mjs BASE_URL SESSION_ID
//
// The session must be pending, without a graph, and nobody else may command it: it is started,
// changed and completed here, watched in every mode, and what arrived is compared. Ends with 0 when
// all of it was as the protocol says, and says what was not otherwise.

import assert from 'node:assert/strict'
import { WebSocket } from 'ws'
import { ReliveClient, ReliveError } from '../dist/index.js'

const [url, sessionId] = process.argv.slice(2)
if (url === undefined || sessionId === undefined) {
  console.error('usage: live.mjs BASE_URL SESSION_ID')
  process.exit(2)
}
// Where the server asks for one.
const token = process.env.RELIVE_TOKEN
const access = token ? { getToken: () => Promise.resolve(token) } : {}
const deadline = setTimeout(() => {
  console.error(
    `no end within 30 s; the viewers hold ${JSON.stringify(viewers.map(({ mode, revision }) => [mode, revision()]))}`,
  )
  process.exit(1)
}, 30_000)

/** A client of its own that watches the session in one mode until it ends. */
function watch(mode) {
  const client = new ReliveClient({ url, WebSocket, ...access })
  const seen = { sessions: [], events: [], messages: [] }
  let begin
  const begun = new Promise((resolve) => (begin = resolve))
  let subscription
  const ended = new Promise((resolve, reject) => {
    subscription = client.subscribe(
      sessionId,
      { mode, messages: true },
      {
        onSession: (session) => {
          seen.sessions.push(session)
          begin()
        },
        onEvent: (recorded) => {
          seen.events.push(recorded)
          begin()
        },
        onMessage: (message) => seen.messages.push(message),
        onEnd: resolve,
        onError: reject,
      },
    )
  })
  return { mode, client, seen, begun, ended, revision: () => subscription.revision }
}

function assertRising(revisions, what) {
  revisions.forEach((revision, index) => {
    assert.ok(index === 0 || revision > revisions[index - 1], `${what} went back: ${revisions.join()}`)
  })
}

const viewers = ['snapshot', 'delta', 'events'].map(watch)
const [snapshots, deltas, events] = viewers
const { client } = snapshots
const listClient = new ReliveClient({ url, WebSocket, ...access })
const listed = new Promise((resolve, reject) => {
  listClient.watchSessions(
    {},
    {
      onSessions: (sessions) => sessions.get(sessionId)?.status === 'completed' && resolve(sessions.get(sessionId)),
      onError: reject,
    },
  )
})

await Promise.all(viewers.map(({ begun, ended }) => Promise.race([begun, ended])))

// Each command is one event, so the receipts count up.
const started = await client.command(sessionId, { type: 'start' }, { commandId: 'live-start', expectedRevision: 1 })
assert.deepEqual(started, { revision: 2 })
assert.deepEqual(await client.command(sessionId, { type: 'start' }, { commandId: 'live-start', expectedRevision: 1 }), {
  revision: 2,
  duplicate: true,
})
for (const [command, options, code] of [
  [{ type: 'start' }, {}, 'illegal_transition'],
  [{ type: 'pause' }, { expectedRevision: 1 }, 'revision_conflict'],
  [{ type: 'signal', nodeId: 'draft', payload: {} }, {}, 'not_waiting'],
]) {
  await assert.rejects(client.command(sessionId, command, options), (error) => {
    assert.ok(error instanceof ReliveError)
    assert.equal(error.code, code)
    return true
  })
}

const running = await client.command(sessionId, {
  type: 'setNodeStatus',
  nodeId: 'draft',
  status: 'running',
  name: 'Draft',
})
assert.equal(running.revision, 3)
await assert.rejects(client.command(sessionId, { type: 'complete' }), { code: 'nodes_active' })
const batch = await client.command(sessionId, [
  { type: 'recordUsage', nodeId: 'draft', inputTokens: 12, outputTokens: 30, costUsd: 0.25 },
  { type: 'setContext', key: 'topic', value: 'bees' },
  { type: 'addMessage', nodeId: 'draft', role: 'agent', content: 'Once upon a time', tokenCount: 4 },
])
assert.equal(batch.revision, 6)
await client.command(sessionId, { type: 'pause' })
await client.command(sessionId, { type: 'resume' })
await client.command(sessionId, { type: 'setNodeStatus', nodeId: 'draft', status: 'completed' })
await client.command(sessionId, { type: 'setContext', key: 'topic', value: null })
const { revision } = await client.command(sessionId, { type: 'complete', outputs: { answer: 42 } })
assert.equal(revision, 11)

for (const { mode, seen, ended } of viewers) {
  const end = await ended
  assert.deepEqual([end.status, end.revision], ['completed', revision], `${mode}: the end`)
  assert.deepEqual(
    seen.messages.map(({ content }) => content),
    ['Once upon a time'],
    `${mode}: the messages`,
  )
}
for (const { mode, seen } of [snapshots, deltas]) {
  assertRising(
    seen.sessions.map((session) => session.revision),
    mode,
  )
  const last = seen.sessions.at(-1)
  assert.equal(last.revision, revision)
  assert.equal(last.status, 'completed')
  assert.equal(last.totalTokens, 42)
  assert.equal(last.totalCostUsd, 0.25)
  assert.deepEqual(last.activeNodeIds, [])
  assert.deepEqual(last.nodes.draft.tokenUsage, { inputTokens: 12, outputTokens: 30 })
  assert.equal(last.contextData?.topic, undefined)
}
assert.deepEqual(deltas.seen.sessions.at(-1), snapshots.seen.sessions.at(-1), 'folded deltas and the snapshot differ')
assert.deepEqual(
  events.seen.events.map((recorded) => recorded.revision),
  Array.from({ length: revision }, (_, index) => index + 1),
)
assert.deepEqual(
  events.seen.events.map(({ event }) => event.type),
  [
    'created',
    'started',
    'nodeStatusChanged',
    'usageRecorded',
    'contextSet',
    'messageAdded',
    'paused',
    'resumed',
    'nodeStatusChanged',
    'contextSet',
    'completed',
  ],
)
assert.equal((await listed).revision, revision)

// What was watched live is relived the same.
const relived = []
await new Promise((resolve, reject) => {
  client.replay(
    sessionId,
    { mode: 'delta', speed: 'max' },
    {
      onSession: (session) => relived.push(session),
      onEnd: resolve,
      onRefused: reject,
      onError: reject,
    },
  )
})
assert.deepEqual(
  relived.map((session) => session.revision),
  Array.from({ length: revision }, (_, index) => index + 1),
)
assert.deepEqual(relived.at(-1), snapshots.seen.sessions.at(-1))

for (const { client } of viewers) client.close()
listClient.close()
clearTimeout(deadline)
console.log(
  `revision ${revision}: ${snapshots.seen.sessions.length} snapshots, ${deltas.seen.sessions.length} states by delta, ` +
    `${events.seen.events.length} events, ${snapshots.seen.messages.length} message`,
)
