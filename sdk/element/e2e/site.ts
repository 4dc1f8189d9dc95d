import { readFileSync } from 'node:fs'
import { createServer, type Server } from 'node:http'
import type { AddressInfo } from 'node:net'

/** What a site answers: a page, or a text. */
type Answer = string | { body: string; headers: Record<string, string> }

/** A web site of somebody else, at an origin of its own. */
export class Site {
  /** By path. */
  readonly pages = new Map<string, () => Answer | Promise<Answer>>()
  readonly #server: Server

  private constructor() {
    this.#server = createServer(async (request, response) => {
      const page = this.pages.get(new URL(request.url ?? '/', 'http://x').pathname)
      if (page === undefined) {
        response.writeHead(404).end()
        return
      }
      const answer = await page()
      const { body, headers } = typeof answer === 'string' ? { body: answer, headers: {} } : answer
      response.writeHead(200, { 'content-type': 'text/html; charset=utf-8', ...headers }).end(body)
    })
  }

  static async start(): Promise<Site> {
    const site = new Site()
    await new Promise<void>((resolve) => site.#server.listen(0, '127.0.0.1', resolve))
    return site
  }

  get origin(): string {
    return `http://127.0.0.1:${(this.#server.address() as AddressInfo).port}`
  }

  close(): void {
    this.#server.closeAllConnections()
    this.#server.close()
  }
}

/** A file of `examples/`, with the addresses of this test in place of those of the documentation. */
export function example(name: string, server: string, sessionId: string, token = ''): string {
  return readFileSync(new URL(`../examples/${name}`, import.meta.url), 'utf8')
    .replaceAll('https://relive.example.org', server)
    .replaceAll('SESSION_ID', sessionId)
    .replaceAll('"TOKEN"', `"${token}"`)
    .replaceAll('#token=TOKEN', `#token=${token}`)
}
