// The link of a run that was moved to the archive.
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'

import type { Retention } from '@relive/types'

import { violations } from './axe'
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

test('a rule of retention archives instead of deleting, and the page says so', async ({ page, server }) => {
  const { id } = await server.post<{ id: string }>('/sessions', { name: 'kept by a rule', tags: ['keep'] })
  await server.post(`/sessions/${id}/commands`, [{ type: 'start' }, { type: 'complete' }])
  const { key } = await server.post<{ key: string }>('/keys', { name: 'retention', role: 'admin' })
  await page.goto(`${server.address}/?page=retention`)
  await page.getByLabel('Key or access token').fill(key)
  await page.getByRole('button', { name: 'Sign in', exact: true }).click()
  await page.getByRole('button', { name: 'Add a rule' }).click()
  const rule = page.getByRole('region', { name: 'Rule 1' })
  const dialog = page.getByRole('dialog', { name: 'Save these rules?' })
  const consequence = async (expected: string) => {
    await page.getByRole('button', { name: 'Save' }).click()
    await expect(dialog).toContainText(expected)
  }
  await rule.getByLabel('Tag').fill('keep')
  await rule.getByLabel('Days since the end').fill('0')
  await consequence('are deleted for good.')
  await page.keyboard.press('Escape')
  await rule.getByLabel('What happens').selectOption('move to the archive')
  expect(await violations(page)).toEqual([])
  await consequence('are moved to the archive.')
  await dialog.getByRole('button', { name: 'Save' }).click()
  await expect(rule.getByText('not saved yet')).toHaveCount(0)
  await expect
    .poll(async () => (await server.get<Retention>('/retention')).rules[0], { timeout: 60_000 })
    .toMatchObject({ action: 'archive', removed: 1 })
  expect(await server.get(`/archive/${id}`)).toMatchObject({ session: { id } })
  await page.reload()
  await expect(rule.getByText(/^1 archived/)).toBeVisible()
  await expect(rule.getByLabel('What happens')).toHaveValue('archive')

  // In the other language, too.
  await page.getByRole('button', { name: '中文: switch to Chinese' }).click()
  await expect(page.getByText('归档的会话可以恢复。')).toBeVisible()
  await expect(page.getByRole('region', { name: '规则 1' }).getByLabel('处理方式')).toHaveValue('archive')
})
