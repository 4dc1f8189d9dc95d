// The link of a run that was moved to the archive.
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'

import { test as base, expect } from './fixtures'
import { Server } from './server'

const rootKey = 'root-key-of-the-browser-tests-0123456789'

const test = base.extend<object, { server: Server }>({
  server: [
    async ({}, use) => {
      const folder = mkdtempSync(join(tmpdir(), 'relive-archive-'))
      const server = await Server.start({ RELIVE_ARCHIVE: folder, RELIVE_ROOT_KEY: rootKey })
      await use(server)
      await server.close()
      rmSync(folder, { recursive: true })
    },
    { scope: 'worker', timeout: 60_000 },
  ],
})

// What is not there is asked for, and found in the archive.
test.use({ tolerated: /status of 40[14]/ })

const graph = {
  name: 'Kept',
  startNodeId: 'a',
  nodes: { a: { id: 'a', type: 'task', name: 'Only step', nextIds: [] } },
}

test('an archived run says so at its link, is restored by those who may, and replayed', async ({ page, server }) => {
  const { id } = await server.post<{ id: string }>('/sessions', { graph, name: 'Kept for years' })
  await server.post(`/sessions/${id}/commands`, [
    { type: 'start' },
    { type: 'setNodeStatus', nodeId: 'a', status: 'running' },
    { type: 'setNodeStatus', nodeId: 'a', status: 'completed' },
    { type: 'complete' },
  ])

  // A guest has the page open while it is archived.
  const { token } = await server.post<{ token: string }>('/tokens', { scopes: [`read:sessions:${id}`] })
  await page.goto(`${server.address}/sessions/${id}#token=${token}`)
  await expect(page.getByRole('button', { name: /^Only step, completed/ })).toBeVisible()
  expect(await server.post('/archive', { olderThanDays: 0 })).toMatchObject({ archived: 1 })
  await page.reload()
  await expect(page.getByRole('heading', { name: 'Kept for years' })).toBeVisible()
  await expect(page.getByText('This session is in the archive since')).toBeVisible()
  await expect(page.getByText('5 revisions')).toBeVisible()
  await expect(page.getByRole('button', { name: 'Restore it' })).toHaveCount(0)
  await expect(page.getByText('Somebody with the role admin can restore it.')).toBeVisible()

  await page.context().clearCookies()
  await page.goto(`${server.address}/sessions/${id}`)
  const { key } = await server.post<{ key: string }>('/keys', { name: 'admin', role: 'admin' })
  await page.getByLabel('Key or access token').fill(key)
  await page.getByRole('button', { name: 'Sign in', exact: true }).click()
  await page.getByRole('button', { name: 'Restore it' }).click()
  await expect(page.getByRole('button', { name: /^Only step, completed/ })).toBeVisible()
  const scrubber = page.getByRole('slider', { name: 'Position in the run' })
  await scrubber.focus()
  await page.keyboard.press('Home')
  await expect(page.getByRole('button', { name: /^Only step, pending/ })).toBeVisible()

  // Of what is nowhere, it says that there is no such session.
  await page.goto(`${server.address}/sessions/0198c0de-0000-7000-8000-000000000001`)
  await expect(page.getByText('There is no such session.')).toBeVisible()
})
