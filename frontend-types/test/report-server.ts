import { once } from 'node:events'
import { createServer, type Server, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import { Recorder } from './recorder.js'

export type Sent = { type: string } & Record<string, unknown>

/** How a request is to be answered, if not well. */
export interface Failure {
  status: number
  code?: string
  retryable?: boolean
  headers?: Record<string, string>
}

/** A stream of server-sent events that somebody reads. */
export interface Stream {
  readonly path: string
  send(frame: Record<string, unknown>): void
  close(): void
}

/** A server that takes sessions and commands as the real one does, and fails as the test says. */
export class ReportServer {
  /** What was carried out, in order, each command once. */
  readonly commands = new Recorder<Sent>('commands')
  /** What was shown of messages, by request. */
  readonly chunks = new Recorder<Sent[]>('chunks')
  readonly streams = new Recorder<Stream>('streams')
  readonly created: Record<string, unknown>[] = []
  /** Every request, also those that failed, but for streams. */
  readonly requests: { path: string; key: string | undefined; authorization: string | undefined }[] = []
  /** Asked for each request, before anything is done. `cut` closes the connection after doing it. */
  fail: (path: string, commands: readonly Sent[]) => Failure | 'cut' | undefined = () => undefined
  status = 'running'
  readonly #done = new Set<string>()
  readonly #server: Server
  #port = 0

  constructor() {
    this.#server = createServer(async (request, response) => {
      let body = ''
      for await (const piece of request.setEncoding('utf8')) body += String(piece)
      const path = request.url ?? ''
      if (path.includes('/stream?')) {
        this.#stream(path, response)
        return
      }
      const key = request.headers['idempotency-key'] as string | undefined
      this.requests.push({ path, key, authorization: request.headers.authorization })
      const answer = (status: number, value: unknown, headers: Record<string, string> = {}) =>
        response.writeHead(status, { 'content-type': 'application/json', ...headers }).end(JSON.stringify(value))
      if (request.method === 'GET') {
        answer(200, { status: this.status })
        return
      }
      const value = JSON.parse(body) as unknown
      if (path.endsWith('/tokens')) {
        this.chunks.push(value as Sent[])
        answer(200, {})
        return
      }
      const commands = Array.isArray(value) ? (value as Sent[]) : []
      const failure = this.fail(path, commands)
      if (failure !== undefined && failure !== 'cut') {
        const { status, code, retryable = false, headers } = failure
        answer(status, code === undefined ? {} : { code, retryable, detail: `refused: ${code}`, status }, headers)
        return
      }
      if (!this.#done.has(key ?? '')) {
        this.#done.add(key ?? '')
        if (path === '/api/v1/sessions') this.created.push(value as Record<string, unknown>)
        for (const command of commands) this.commands.push(command)
      }
      if (failure === 'cut') response.destroy()
      else answer(path === '/api/v1/sessions' ? 201 : 200, { revision: 1 })
    })
  }

  #stream(path: string, response: ServerResponse): void {
    response.writeHead(200, { 'content-type': 'text/event-stream' })
    response.flushHeaders()
    this.streams.push({
      path,
      // In two pieces, as networks do.
      send: (frame) => {
        const text = `event: ${String(frame['type'])}\ndata: ${JSON.stringify(frame)}\n\n`
        response.write(text.slice(0, 20))
        response.write(text.slice(20))
      },
      close: () => response.end(),
    })
  }

  static async start(): Promise<ReportServer> {
    const server = new ReportServer()
    await server.listen()
    return server
  }

  async listen(): Promise<void> {
    this.#server.listen(this.#port, '127.0.0.1')
    await once(this.#server, 'listening')
    this.#port = (this.#server.address() as AddressInfo).port
  }

  get url(): string {
    return `http://127.0.0.1:${this.#port}`
  }

  async stop(): Promise<void> {
    this.#server.closeAllConnections()
    this.#server.close()
    if (this.#server.listening) await once(this.#server, 'close')
  }
}
