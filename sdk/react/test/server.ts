import type { TestProject } from 'vitest/node'
import { Server } from '../../../dashboard/e2e/server.js'

declare module 'vitest' {
  interface ProvidedContext {
    /** Of a server that lets happy-dom's pages in, and that all tests share. */
    address: string
  }
}

export default async function setup(project: TestProject): Promise<() => Promise<void>> {
  const server = await Server.start({ RELIVE_ALLOW_ORIGIN: 'http://localhost:3000' })
  project.provide('address', server.address)
  return () => server.close()
}
