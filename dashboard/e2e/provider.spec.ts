import { test as base, expect } from './fixtures'
import { Provider } from './provider'
import { freePort, Server } from './server'

/** A server whose people sign in with an OpenID provider. */
const test = base.extend<object, { server: Server }>({
  server: [
    async ({}, use) => {
      const port = await freePort()
      const provider = await Provider.start(`http://127.0.0.1:${port}/auth/callback`)
      const settings = {
        RELIVE_OIDC_ISSUER: provider.issuer,
        RELIVE_OIDC_CLIENT_ID: 'relive',
        RELIVE_OIDC_CLIENT_SECRET: 'secret &+%',
        RELIVE_ROOT_KEY: 'root-key-of-the-browser-tests-0123456789',
      }
      const server = await Server.start(settings, port)
      server.partners = [new URL(provider.issuer).host]
      await use(server)
      await server.close()
      provider.close()
    },
    { scope: 'worker', timeout: 120_000 },
  ],
})

test.use({ tolerated: /status of 40[134]/ })

const graph = {
  name: 'Reviewed',
  startNodeId: 'a',
  nodes: { a: { id: 'a', type: 'human_review', name: 'Ask', nextIds: [] } },
}

test('a person signs in with the provider, comes back to the page, and signs reviews', async ({ page, server }) => {
  const { id } = await server.post<{ id: string }>('/sessions', { graph })
  await server.post(`/sessions/${id}/commands`, [
    { type: 'start' },
    { type: 'setNodeStatus', nodeId: 'a', status: 'running' },
    { type: 'setNodeStatus', nodeId: 'a', status: 'suspended' },
  ])
  await page.goto(`${server.address}/sessions/${id}?panel=journal`)
  await page.getByRole('link', { name: 'Sign in with your identity provider' }).click()
  await expect(page).toHaveURL(`${server.address}/sessions/${id}?panel=journal`)
  await expect(page.locator('.account')).toHaveText('Ada operator')
  // The provider has cookies of its own, which browsers do not keep apart by the port.
  const cookies = (await page.context().cookies(server.address)).filter(({ name }) => name.startsWith('relive'))
  expect(cookies.map(({ name, httpOnly, sameSite }) => [name, httpOnly, sameSite])).toEqual([
    ['relive_session', true, 'Lax'],
  ])
  // What the provider gave stays with the server.
  expect(await page.evaluate(() => JSON.stringify({ ...localStorage, ...sessionStorage }))).not.toMatch(/eyJ/)
  await page.getByRole('button', { name: 'Approve' }).click()
  await expect(page.locator('.journal-row').filter({ hasText: 'review: approved' })).toContainText('Ada')

  await page.getByRole('button', { name: 'Sign out' }).click()
  await expect(page.getByRole('link', { name: 'Sign in with your identity provider' })).toBeVisible()
  await page.reload()
  await expect(page.getByRole('heading', { name: 'Sign in' })).toBeVisible()
})

test('an answer that nobody has asked for signs nobody in', async ({ page, server }) => {
  await page.goto(`${server.address}/auth/callback?code=made-up&state=made-up`)
  expect((await page.context().cookies(server.address)).filter(({ name }) => name === 'relive_session')).toEqual([])
  await page.goto(server.address)
  await expect(page.getByRole('heading', { name: 'Sign in' })).toBeVisible()
})
