import { type ChildProcess, spawn } from 'node:child_process'
import { chmodSync, mkdtempSync, rmSync } from 'node:fs'
import { type AddressInfo, createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { fileURLToPath } from 'node:url'

import { proxyTo, type ReverseProxy } from './proxy'

export const repository = fileURLToPath(new URL('../..', import.meta.url))
export const binary =
  process.env['RELIVE_BINARY'] ?? join(process.env['CARGO_TARGET_DIR'] ?? join(repository, 'target'), 'debug/relive')

/** A server with data of its own, which can be killed and started again at the same address. */
export class Server {
  /** Where the pages are: behind a proxy, the address of that, with the path. */
  address: string
  /** Other hosts that its pages may send the browser to. */
  partners: readonly string[] = []
  readonly port: number
  readonly #folder: string
  readonly #settings: Readonly<Record<string, string>>
  #process: ChildProcess | undefined
  #proxy: ReverseProxy | undefined

  private constructor(port: number, settings: Readonly<Record<string, string>>) {
    this.port = port
    this.#settings = settings
    this.address = `http://127.0.0.1:${port}`
    this.#folder = mkdtempSync(join(tmpdir(), 'relive-e2e-'))
    // Its PostgreSQL may run as another user, who has to get there.
    chmodSync(this.#folder, 0o755)
  }

  /** With settings beside its own, as environment variables. */
  static async start(settings: Readonly<Record<string, string>> = {}, port?: number): Promise<Server> {
    const server = new Server(port ?? (await freePort()), settings)
    await server.start()
    return server
  }

  /** Behind a proxy, below a path. */
  static async behindProxy(path: string, settings: Readonly<Record<string, string>> = {}): Promise<Server> {
    const server = await Server.start({ ...settings, RELIVE_BASE_PATH: path, RELIVE_TRUSTED_PROXIES: '127.0.0.1' })
    server.#proxy = await proxyTo(server.port, path)
    server.address = `http://127.0.0.1:${server.#proxy.port}${path}`
    return server
  }

  async start(): Promise<void> {
    // A database of its own, wherever DATABASE_URL points.
    const { DATABASE_URL: _, ...environment } = process.env
    const child = spawn(
      binary,
      ['serve', '--listen', `127.0.0.1:${this.port}`, '--data-dir', join(this.#folder, 'data')],
      {
        cwd: repository,
        env: { ...environment, ...this.#settings, RELIVE_LOG: 'error' },
        stdio: ['ignore', 'pipe', 'inherit'],
      },
    )
    this.#process = child
    const lines = createInterface({ input: child.stdout })
    await new Promise<void>((resolve, reject) => {
      lines.on('line', (line) => line.startsWith('listening on') && resolve())
      child.once('exit', (code) => reject(new Error(`the server ended with ${code}`)))
    })
  }

  /** Ends it the hard way, or as a person would. */
  async stop(signal: 'SIGKILL' | 'SIGTERM'): Promise<void> {
    const child = this.#process
    if (child === undefined || child.exitCode !== null || child.signalCode !== null) return
    const ended = new Promise((resolve) => child.once('exit', resolve))
    child.kill(signal)
    await ended
  }

  async close(): Promise<void> {
    await this.#proxy?.close()
    await this.stop('SIGTERM')
    rmSync(this.#folder, { recursive: true, force: true })
  }

  /** With the server's root key, where it has one. */
  async post<Answer>(path: string, body: unknown): Promise<Answer> {
    return this.#send('POST', path, body)
  }

  async put<Answer>(path: string, body: unknown): Promise<Answer> {
    return this.#send('PUT', path, body)
  }

  async #send<Answer>(method: 'POST' | 'PUT', path: string, body: unknown): Promise<Answer> {
    const response = await fetch(`${this.address}/api/v1${path}`, {
      method,
      headers: { 'content-type': 'application/json', ...this.#credentials },
      body: JSON.stringify(body),
    })
    if (!response.ok) throw new Error(`${path}: ${await response.text()}`)
    return (await response.json()) as Answer
  }

  async get<Answer>(path: string): Promise<Answer> {
    const response = await fetch(`${this.address}/api/v1${path}`, { headers: this.#credentials })
    if (!response.ok) throw new Error(`${path}: ${await response.text()}`)
    return (await response.json()) as Answer
  }

  get #credentials(): Record<string, string> {
    const key = this.#settings['RELIVE_ROOT_KEY']
    return key === undefined ? {} : { authorization: `Bearer ${key}` }
  }

  /** Runs a graph of commands as `relive run` does, in the background; resolves with its session's id. */
  async run(file: string): Promise<{ sessionId: string; ended: Promise<number | null> }> {
    const child = spawn(binary, ['run', file, '--server', this.address], {
      cwd: repository,
      stdio: ['ignore', 'pipe', 'inherit'],
    })
    const ended = new Promise<number | null>((resolve) => child.once('exit', resolve))
    const lines = createInterface({ input: child.stdout })
    const sessionId = await new Promise<string>((resolve, reject) => {
      lines.on('line', (line) => {
        const id = /^session\s+([0-9a-f-]{36})/.exec(line)?.[1]
        if (id !== undefined) resolve(id)
      })
      void ended.then((code) => reject(new Error(`relive run ended with ${code}`)))
    })
    return { sessionId, ended }
  }
}

export async function freePort(): Promise<number> {
  const probe = createServer()
  await new Promise<void>((resolve) => probe.listen(0, '127.0.0.1', resolve))
  const { port } = probe.address() as AddressInfo
  await new Promise((resolve) => probe.close(resolve))
  return port
}
