import { once } from 'node:events'
import { createServer, type IncomingMessage, type Server } from 'node:http'
import type { AddressInfo } from 'node:net'
import { type WebSocket, WebSocketServer } from 'ws'
import type { ClientFrame, NodeStateSnapshot, ServerFrame, WorkflowSession } from '../src/index.js'
import { Recorder } from './recorder.js'

type FrameOf<Kind extends ClientFrame['type']> = Extract<ClientFrame, { type: Kind }>

/** One client's socket, seen from the server. */
export class PeerConnection {
  readonly path: string
  /** The subprotocols that the client offered. */
  readonly protocols: readonly string[]
  readonly received = new Recorder<ClientFrame>('frames from the client')
  readonly closed: Promise<unknown>
  readonly #socket: WebSocket

  constructor(socket: WebSocket, request: IncomingMessage) {
    this.path = request.url ?? ''
    this.protocols = request.headers['sec-websocket-protocol']?.split(/, */) ?? []
    this.#socket = socket
    this.closed = once(socket, 'close')
    socket.on('message', (data) => this.received.push(JSON.parse(String(data)) as ClientFrame))
  }

  send(...frames: ServerFrame[]): void {
    for (const frame of frames) this.#socket.send(JSON.stringify(frame))
  }

  sendText(text: string): void {
    this.#socket.send(text)
  }

  async next<Kind extends ClientFrame['type']>(kind: Kind): Promise<FrameOf<Kind>> {
    return (await this.received.next((frame) => frame.type === kind)) as FrameOf<Kind>
  }

  /** Waits for a `subscribe` and answers it. */
  async subscribed(revision: number): Promise<FrameOf<'subscribe'>> {
    const frame = await this.next('subscribe')
    this.send({ type: 'subscribed', sessionId: frame.sessionId, revision, mode: frame.mode ?? 'snapshot' })
    return frame
  }

  close(code: number): void {
    this.#socket.close(code)
  }

  /** As when the network goes: no close frame, so the client sees 1006. */
  cut(): void {
    this.#socket.terminate()
  }
}

export interface PeerRequest {
  readonly method: string
  readonly path: string
  readonly authorization: string | undefined
  readonly body: string
  answer(body: unknown, status?: number): void
}

/** A WebSocket server on a free port that does what the test tells it. */
export class Peer {
  readonly connections = new Recorder<PeerConnection>('connections')
  /** Requests over HTTP, each waiting for the test's answer. */
  readonly requests = new Recorder<PeerRequest>('requests')
  readonly #http: Server
  readonly #server: WebSocketServer

  private constructor(http: Server, server: WebSocketServer) {
    this.#http = http
    this.#server = server
    http.on('request', async (request, response) => {
      let body = ''
      for await (const piece of request.setEncoding('utf8')) body += String(piece)
      this.requests.push({
        method: request.method ?? '',
        path: request.url ?? '',
        authorization: request.headers.authorization,
        body,
        answer: (body, status = 200) =>
          response.writeHead(status, { 'content-type': 'application/json' }).end(JSON.stringify(body)),
      })
    })
    server.on('connection', (socket, request) => {
      this.connections.push(new PeerConnection(socket, request))
    })
  }

  static async start(): Promise<Peer> {
    const http = createServer()
    const peer = new Peer(http, new WebSocketServer({ server: http }))
    http.listen(0, '127.0.0.1')
    await once(http, 'listening')
    return peer
  }

  get url(): string {
    return `http://127.0.0.1:${(this.#http.address() as AddressInfo).port}`
  }

  stop(): void {
    for (const socket of this.#server.clients) socket.terminate()
    this.#server.close()
    this.#http.closeAllConnections()
    this.#http.close()
  }
}

export const sessionId = '0198c0de-0000-7000-8000-000000000001'
const time = '2026-01-31T08:15:30.250Z'

export function sessionAt(revision: number, nodes: Record<string, NodeStateSnapshot> = {}): WorkflowSession {
  return {
    id: sessionId,
    status: 'running',
    nodes,
    activeNodeIds: [],
    totalTokens: 0,
    totalCostUsd: 0,
    revision,
    createdAt: time,
    updatedAt: time,
  }
}

export function snapshot(revision: number, nodes?: Record<string, NodeStateSnapshot>): ServerFrame {
  return { type: 'snapshot', sessionId, revision, session: sessionAt(revision, nodes) }
}

export function delta(base: number, revision: number, patch: Record<string, unknown>): ServerFrame {
  return { type: 'delta', sessionId, base, revision, patch: { revision, ...patch } }
}

export function event(revision: number): ServerFrame {
  const value = { type: 'contextSet', key: 'count', value: revision } as const
  return { type: 'event', sessionId, revision, at: time, event: value }
}
