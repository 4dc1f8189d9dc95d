import type { CreatedKey } from '@relive/types'

import { test as base, expect } from './fixtures'
import { Server } from './server'

/** A server that is found below a path of a proxy, and asks for a key. */
const test = base.extend<object, { server: Server }>({
  server: [
    async ({}, use) => {
      const server = await Server.behindProxy('/tools/relive', {
        RELIVE_ROOT_KEY: 'root-key-of-the-browser-tests-0123456789',
      })
      await use(server)
      await server.close()
    },
    { scope: 'worker', timeout: 60_000 },
  ],
})

test.use({ tolerated: /status of 401/ })

const graph = { name: 'Proxied', startNodeId: 'a', nodes: { a: { id: 'a', type: 'task', name: 'Fetch', nextIds: [] } } }

test('below a path of a proxy the pages, their sockets, links and cookies work', async ({ page, browser, server }) => {
  const { id } = await server.post<{ id: string }>('/sessions', { graph })
  const { key } = await server.post<CreatedKey & { key: string }>('/keys', { name: 'Ada', role: 'operator' })
  await page.goto(`${server.address}/`)
  await page.getByLabel('Key or access token').fill(key)
  await page.getByRole('button', { name: 'Sign in' }).click()
  const row = page.getByRole('row').filter({ hasText: 'Proxied' })
  await expect(row).toBeVisible()
  await expect(page.getByRole('status').filter({ hasText: /^live$/ })).toBeVisible()
  const [cookie] = await page.context().cookies()
  expect(cookie?.path).toBe('/tools/relive/')

  await row.getByRole('link').first().click()
  await expect(page).toHaveURL(new RegExp(`^${server.address}/sessions/${id}`))
  await expect(page.getByRole('status').filter({ hasText: /^live$/ })).toBeVisible()
  await page.getByRole('button', { name: 'Start' }).click()
  await expect(page.locator('.app-bar .chip')).toHaveText('running')
  // An address of a page that is loaded anew has the path, and so have what it loads and asks for.
  await page.reload()
  await expect(page.getByRole('heading', { name: 'Proxied' })).toBeVisible()
  await page.goBack()
  await expect(page).toHaveURL(`${server.address}/`)
  await expect(row).toContainText('running')

  await page.goto(`${server.address}/sessions/${id}`)
  await page.getByRole('button', { name: 'Share' }).click()
  const dialog = page.getByRole('dialog', { name: 'Share this session' })
  await dialog.getByRole('button', { name: 'Create link' }).click()
  const link = await dialog.getByLabel('Link').inputValue()
  expect(link.startsWith(`${server.address}/sessions/${id}#token=`)).toBe(true)
  const guest = await (await browser.newContext()).newPage()
  await guest.goto(link)
  await expect(guest.locator('.account')).toHaveText('guest')
  await expect(guest.getByRole('heading', { name: 'Proxied' })).toBeVisible()
  await guest.context().close()

  await page.keyboard.press('Escape')
  await page.getByRole('button', { name: 'Sign out' }).click()
  await expect(page.getByRole('heading', { name: 'Sign in' })).toBeVisible()
  expect(await page.context().cookies()).toEqual([])
  // Beside the path there is the proxy, and nothing of the server.
  const beside = await fetch(new URL('/api/v1/me', server.address))
  expect([beside.status, await beside.text()]).toEqual([404, 'the proxy has nothing here'])
})
