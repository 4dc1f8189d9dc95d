import { existsSync, readFileSync } from 'node:fs'
import { join } from 'node:path'

import { type BrowserContext, test as base, expect } from '@playwright/test'

import { Server } from './server'

/** A build of the pages to test instead of the one in the binary, so that it need not be built for each change. */
const pages = process.env['RELIVE_PAGES']

async function replacePages(context: BrowserContext, from: string): Promise<void> {
  await context.route(/\/(\?.*)?$|\/sessions\/[0-9a-f-]{36}(\?.*)?$|\/assets\//, async (route) => {
    const { pathname } = new URL(route.request().url())
    if (pathname.includes('/api/')) return route.fallback()
    const asset = /\/assets\/[^/]+$/.exec(pathname)?.[0]
    if (asset !== undefined) {
      const path = join(from, asset)
      return existsSync(path) ? route.fulfill({ path }) : route.fallback()
    }
    const response = await route.fetch()
    if (response.headers()['content-type']?.startsWith('text/html') !== true) return route.fulfill({ response })
    const base = /<meta name="relive-base" content="([^"]*)"/.exec(await response.text())?.[1]?.replace(/\/$/, '') ?? ''
    const body = readFileSync(join(from, 'index.html'), 'utf8').replaceAll('"./', `"${base}/`)
    await route.fulfill({ response, body })
  })
}

interface Fixtures {
  /** What may be complained of in the console: by default nothing. */
  tolerated: RegExp | undefined
}

interface WorkerFixtures {
  server: Server
}

/** Every test watches for two more things: no errors in the console, and nothing asked of another host. */
export const test = base.extend<Fixtures, WorkerFixtures>({
  tolerated: [undefined, { option: true }],
  server: [
    async ({}, use) => {
      const server = await Server.start()
      await use(server)
      await server.close()
    },
    { scope: 'worker', timeout: 60_000 },
  ],
  context: async ({ context }, use) => {
    if (pages !== undefined) await replacePages(context, pages)
    await use(context)
  },
  page: async ({ page, server, tolerated }, use) => {
    const complaints: string[] = []
    const own = new URL(server.address).host
    page.on('console', (message) => {
      if (message.type() === 'error' && tolerated?.test(message.text()) !== true) complaints.push(message.text())
    })
    page.on('pageerror', (error) => complaints.push(String(error)))
    page.on('request', (request) => {
      const { host, protocol } = new URL(request.url())
      if (host !== own && !server.partners.includes(host) && protocol !== 'data:' && protocol !== 'blob:')
        complaints.push(`asked of another host: ${request.url()}`)
    })
    page.on('websocket', (socket) => {
      if (new URL(socket.url()).host !== own) complaints.push(`a socket to another host: ${socket.url()}`)
    })
    await use(page)
    expect(complaints).toEqual([])
  },
})

export { expect }
