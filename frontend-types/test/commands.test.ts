import assert from 'node:assert/strict'
import { afterEach, beforeEach, test } from 'node:test'
import { type ReliveClient, ReliveError } from '../src/index.js'
import { Peer, sessionId } from './peer.js'
import { makeClient } from './watching.js'

let peer: Peer
let client: ReliveClient

beforeEach(async () => {
  peer = await Peer.start()
  client = makeClient(peer.url, { maxPendingCommands: 2 })
})

afterEach(() => {
  client.close()
  peer.stop()
})

test('a command resolves with its receipt', async () => {
  const receipt = client.command(sessionId, { type: 'start' }, { commandId: 'once', expectedRevision: 1 })
  const connection = await peer.connections.next()
  const frame = await connection.next('command')
  assert.deepEqual(frame, {
    type: 'command',
    id: frame.id,
    sessionId,
    command: { type: 'start' },
    commandId: 'once',
    expectedRevision: 1,
  })
  connection.send({ type: 'ack', id: frame.id, sessionId, revision: 2 })
  assert.deepEqual(await receipt, { revision: 2 })
})

test('several commands travel as one', async () => {
  const receipt = client.command(sessionId, [{ type: 'start' }, { type: 'pause' }])
  const connection = await peer.connections.next()
  const { id, command, commands, commandId } = await connection.next('command')
  assert.equal(command, undefined)
  assert.deepEqual(commands, [{ type: 'start' }, { type: 'pause' }])
  assert.match(commandId ?? '', /^[0-9a-f-]{36}$/)
  connection.send({ type: 'ack', id, sessionId, revision: 3, duplicate: true })
  assert.deepEqual(await receipt, { revision: 3, duplicate: true })
})

test('a refusal rejects with its code', async () => {
  const receipt = client.command(sessionId, { type: 'resume' })
  const connection = await peer.connections.next()
  const { id } = await connection.next('command')
  connection.send({ type: 'error', id, sessionId, code: 'illegal_transition', message: 'not paused', retryable: false })
  await assert.rejects(receipt, (error) => {
    assert.ok(error instanceof ReliveError)
    assert.deepEqual([error.code, error.message, error.retryable], ['illegal_transition', 'not paused', false])
    return true
  })
})

test('an unanswered command is sent again with the same commandId', async () => {
  const receipt = client.command(sessionId, { type: 'start' })
  const first = await peer.connections.next()
  const sent = await first.next('command')
  first.close(1012)
  const second = await peer.connections.next()
  assert.deepEqual(await second.next('command'), sent)
  second.send({ type: 'ack', id: sent.id, sessionId, revision: 2, duplicate: true })
  assert.deepEqual(await receipt, { revision: 2, duplicate: true })
})

test('beyond the limit a command is refused at once, and an answer makes room', async () => {
  const first = client.command(sessionId, { type: 'start' })
  const second = client.command(sessionId, { type: 'pause' })
  await assert.rejects(client.command(sessionId, { type: 'resume' }), { code: 'unavailable', retryable: true })
  const connection = await peer.connections.next()
  const { id } = await connection.next('command')
  connection.send({ type: 'ack', id, sessionId, revision: 2 })
  await first
  const third = client.command(sessionId, { type: 'resume' })
  for (const revision of [3, 4]) {
    const { id } = await connection.next('command')
    connection.send({ type: 'ack', id, sessionId, revision })
  }
  assert.deepEqual([await second, await third], [{ revision: 3 }, { revision: 4 }])
})

test('closing the client rejects what waits, and what comes after', async () => {
  const receipt = client.command(sessionId, { type: 'start' })
  client.close()
  await assert.rejects(receipt, { code: 'unavailable' })
  await assert.rejects(client.command(sessionId, { type: 'start' }), { code: 'unavailable' })
})
