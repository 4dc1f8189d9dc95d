import { test as base, expect } from '@playwright/test'
import type { Command, CreatedToken, WorkflowSession } from '@relive/types'
import { Server } from '../../../dashboard/e2e/server'
import { Site } from './site'

export const rootKey = 'root-key-of-the-element-tests-0123456789'

interface WorkerFixtures {
  /** Its origin is allowed by the server, and may frame its pages. */
  site: Site
  /** One that is not. */
  stranger: Site
  server: Server
}

interface Fixtures {
  /** What the console may complain of: by default nothing. */
  tolerated: RegExp | undefined
}

export const test = base.extend<Fixtures, WorkerFixtures>({
  tolerated: [undefined, { option: true }],
  site: [
    async ({}, use) => {
      const site = await Site.start()
      await use(site)
      site.close()
    },
    { scope: 'worker' },
  ],
  stranger: [
    async ({}, use) => {
      const site = await Site.start()
      await use(site)
      site.close()
    },
    { scope: 'worker' },
  ],
  server: [
    async ({ site }, use) => {
      const server = await Server.start({
        RELIVE_ROOT_KEY: rootKey,
        RELIVE_ALLOW_ORIGIN: site.origin,
        RELIVE_FRAME_ANCESTORS: site.origin,
      })
      await use(server)
      await server.close()
    },
    { scope: 'worker', timeout: 60_000 },
  ],
  page: async ({ page, tolerated }, use) => {
    const complaints: string[] = []
    page.on('console', (message) => {
      if (
        message.type() === 'error' &&
        !/favicon/.test(message.location().url) &&
        tolerated?.test(message.text()) !== true
      )
        complaints.push(message.text())
    })
    page.on('pageerror', (error) => complaints.push(String(error)))
    await use(page)
    expect(complaints).toEqual([])
  },
})

export { expect }

const graph = {
  name: 'Story',
  startNodeId: 'plan',
  nodes: {
    plan: { id: 'plan', type: 'agent', name: 'Plan', nextIds: ['write'] },
    write: { id: 'write', type: 'agent', name: 'Write', nextIds: ['check'] },
    check: { id: 'check', type: 'loop', name: 'Check', nextIds: ['write'] },
  },
}

/** A run that has planned, and writes. */
export async function story(server: Server, name = 'A story'): Promise<string> {
  const { id } = await server.post<WorkflowSession>('/sessions', { name, graph })
  await command(
    server,
    id,
    { type: 'start' },
    { type: 'setNodeStatus', nodeId: 'plan', status: 'running' },
    { type: 'addMessage', nodeId: 'plan', agentId: 'ada', content: 'First the bees.' },
    { type: 'setNodeStatus', nodeId: 'plan', status: 'completed' },
    { type: 'setNodeStatus', nodeId: 'write', status: 'running', progress: 0.5 },
  )
  return id
}

export function command(server: Server, id: string, ...commands: Command[]): Promise<unknown> {
  return server.post(`/sessions/${id}/commands`, commands)
}

export async function guest(server: Server, id: string, expiresInSeconds = 900): Promise<string> {
  const body = { scopes: [`read:sessions:${id}`], expiresInSeconds }
  return (await server.post<CreatedToken>('/tokens', body)).token
}
