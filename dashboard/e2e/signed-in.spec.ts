// The pages of a server that asks for a key, as those see them who have one.
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'

import { violations } from './axe'
import { names } from './crowded'
import { look, open } from './faults'
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

// The browser itself remarks on what is refused or not there.
test.use({ tolerated: /status of 40[14]/ })

for (const [turn, language] of (['en', 'zh'] as const).entries()) {
  test(`every page of those who are signed in fits (${language})`, async ({ page, server }) => {
    test.setTimeout(300_000)
    await page.addInitScript((chosen) => localStorage.setItem('relive.language', chosen), language)
    const found: string[] = []
    const graph = {
      name: names[0],
      startNodeId: 'a',
      nodes: { a: { id: 'a', type: 'human_review', name: names[1], nextIds: [] } },
    }
    const waits = await server.post<{ id: string }>('/sessions', { graph, name: names[1] })
    const set = (status: string) => ({ type: 'setNodeStatus', nodeId: 'a', status })
    await server.post(`/sessions/${waits.id}/commands`, [{ type: 'start' }, set('running'), set('suspended')])
    const ended = await server.post<{ id: string }>('/sessions', { name: names[0] })
    await server.post(`/sessions/${ended.id}/commands`, [{ type: 'start' }, { type: 'complete' }])
    await server.post('/archive', { olderThanDays: 0 })
    for (const [role, name] of [
      ['admin', names[0]],
      ['reviewer', names[3]],
    ] as const) {
      const { key } = await server.post<{ key: string }>('/keys', { name, role })
      await page.context().clearCookies()
      await open(page, server.address)
      await look(page, 'signing in', turn, found)
      await page.locator('input[name=token]').fill(key)
      await page.keyboard.press('Enter')
      await expect(page.locator('.account')).toBeVisible()
      const pages = ['/', `/sessions/${waits.id}?node=a`, `/sessions/${ended.id}`, '/?page=inbox', '/?page=groups']
      for (const path of role === 'admin' ? [...pages, '/?page=keys', '/?page=audit'] : pages) {
        await open(page, server.address + path)
        await look(page, `${role}: ${path}`, turn, found)
      }
      if (role !== 'admin') continue
      await page.goto(`${server.address}/sessions/${ended.id}`)
      await expect(page.getByRole('heading', { name: names[0] })).toBeVisible()
      found.push(...(await violations(page)))
    }
    expect(found).toEqual([])
  })
}
