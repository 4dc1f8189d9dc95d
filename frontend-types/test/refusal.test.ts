import assert from 'node:assert/strict'
import { once } from 'node:events'
import { createServer, type Server } from 'node:http'
import type { AddressInfo } from 'node:net'
import { test as base } from 'node:test'
import { WebSocketServer } from 'ws'
import type { ConnectionState } from '../src/index.js'
import { sessionId } from './peer.js'
import { makeClient, recordStates, Watching } from './watching.js'

const refused = {
  code: 'forbidden',
  retryable: false,
  detail: "this page's origin may not use this server; allow its origin with --allow-origin",
}

/** A server that refuses or accepts handshakes, and answers requests as the test says. */
class Gate {
  isOpen = false
  /** How a request is answered. */
  answer = { status: 403, body: JSON.stringify(refused) }
  handshakes = 0
  readonly requests: string[] = []
  readonly #http: Server
  readonly #sockets = new WebSocketServer({ noServer: true })

  constructor() {
    this.#http = createServer((request, response) => {
      this.requests.push(request.url ?? '')
      response.writeHead(this.answer.status, { 'content-type': 'application/problem+json' }).end(this.answer.body)
    })
    this.#http.on('upgrade', (request, socket, head) => {
      this.handshakes += 1
      if (this.isOpen) this.#sockets.handleUpgrade(request, socket, head, () => {})
      else socket.end('HTTP/1.1 403 Forbidden\r\ncontent-length: 0\r\n\r\n')
    })
  }

  async listen(): Promise<string> {
    this.#http.listen(0, '127.0.0.1')
    await once(this.#http, 'listening')
    return `http://127.0.0.1:${(this.#http.address() as AddressInfo).port}/base`
  }

  cut(): void {
    for (const socket of this.#sockets.clients) socket.terminate()
  }

  close(): void {
    this.cut()
    this.#http.closeAllConnections()
    this.#http.close()
  }
}

function test(name: string, body: (gate: Gate, url: string) => Promise<void>): void {
  void base(name, async () => {
    const gate = new Gate()
    const url = await gate.listen()
    try {
      await body(gate, url)
    } finally {
      gate.close()
    }
  })
}

const is =
  (wanted: ConnectionState['state']) =>
  ({ state }: ConnectionState): boolean =>
    state === wanted

test('a refused origin ends the connection with the reason of the server', async (gate, url) => {
  const client = makeClient(url)
  const states = recordStates(client)
  const watching = new Watching()
  client.subscribe(sessionId, {}, watching)
  const command = client.command(sessionId, { type: 'start' })
  await assert.rejects(command, { code: 'forbidden', message: refused.detail, retryable: false })
  assert.equal((await watching.errors.next()).message, refused.detail)
  await states.next(is('closed'))
  assert.equal(client.connection.error?.message, refused.detail)
  assert.equal(gate.requests[0], '/base/healthz')
  client.close()
})

for (const [what, answer] of [
  ['a server that is healthy', { status: 200, body: '{}' }],
  ['a proxy whose server is away', { status: 502, body: '<html>' }],
  ["a proxy's own refusal", { status: 403, body: '<html>' }],
] as const) {
  test(`after a failed handshake, ${what} is tried again`, async (gate, url) => {
    gate.answer = answer
    const client = makeClient(url)
    const states = recordStates(client)
    client.subscribe(sessionId)
    for (let tries = 0; tries < 3; tries += 1) await states.next(is('waiting'))
    gate.isOpen = true
    await states.next(is('open'))
    client.close()
  })
}

test('a connection that was open once comes back, whatever is refused meanwhile', async (gate, url) => {
  gate.isOpen = true
  const client = makeClient(url)
  const states = recordStates(client)
  client.subscribe(sessionId)
  await states.next(is('open'))
  gate.isOpen = false
  gate.cut()
  for (let tries = 0; tries < 3; tries += 1) await states.next(is('waiting'))
  assert.deepEqual(gate.requests, [])
  gate.isOpen = true
  await states.next(is('open'))
  client.close()
})

test('a client that was closed while it asked for the reason stays closed', async (_, url) => {
  const client = makeClient(url)
  const states = recordStates(client)
  const watching = new Watching()
  client.subscribe(sessionId, {}, watching)
  await states.next(is('waiting'))
  client.close()
  await new Promise((resolve) => setImmediate(resolve))
  assert.deepEqual(watching.errors.items, [])
  assert.equal(client.connection.state, 'closed')
  assert.equal(client.connection.error, undefined)
})
