import { test as base, expect } from '@playwright/test'

import { Server } from './server'

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
