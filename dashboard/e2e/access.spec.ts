import type { Browser, Page } from '@playwright/test'
import type { CreatedKey, CreatedToken, EventPage } from '@relive/types'

import { violations } from './axe'
import { test as base, expect } from './fixtures'
import { Server } from './server'

const rootKey = 'root-key-of-the-browser-tests-0123456789'

/** A server that asks for a key. */
const test = base.extend<object, { server: Server }>({
  server: [
    async ({}, use) => {
      const server = await Server.start({ RELIVE_ROOT_KEY: rootKey })
      await use(server)
      await server.close()
    },
    { scope: 'worker', timeout: 60_000 },
  ],
})

// The browser itself remarks on a refusal.
test.use({ tolerated: /status of 401/ })

const graph = {
  name: 'Guarded',
  startNodeId: 'a',
  nodes: { a: { id: 'a', type: 'human_review', name: 'Ask', nextIds: [] } },
}

async function keyOf(server: Server, role: string, name = `a ${role}`): Promise<CreatedKey & { key: string }> {
  return server.post<CreatedKey & { key: string }>('/keys', { name, role })
}

/** A run in which a review waits. */
async function waitingRun(server: Server): Promise<string> {
  const { id } = await server.post<{ id: string }>('/sessions', { graph })
  await server.post(`/sessions/${id}/commands`, [
    { type: 'start' },
    { type: 'setNodeStatus', nodeId: 'a', status: 'running' },
    { type: 'setNodeStatus', nodeId: 'a', status: 'suspended' },
  ])
  return id
}

async function signIn(page: Page, key: string): Promise<void> {
  await page.getByLabel('Key or access token').fill(key)
  await page.getByRole('button', { name: 'Sign in' }).click()
}

async function cookies(page: Page): Promise<string[]> {
  return (await page.context().cookies()).map(({ name }) => name)
}

test('signing in takes a valid key, and signing out ends it', async ({ page, server }) => {
  const { key } = await keyOf(server, 'operator', 'Ada')
  const sessionId = await waitingRun(server)
  await page.goto(`${server.address}/sessions/${sessionId}?panel=journal`)
  await expect(page.getByRole('heading', { name: 'Sign in' })).toBeVisible()
  await expect(page.getByRole('link', { name: 'Sign in with your identity provider' })).toHaveCount(0)
  expect(await violations(page)).toEqual([])

  await signIn(page, 'rlv_not_a_key')
  await expect(page.getByRole('alert').filter({ hasText: 'This key or token is not valid.' })).toBeVisible()
  await signIn(page, 'schlüssel')
  await expect(page.getByRole('alert').filter({ hasText: 'This key or token is not valid.' })).toBeVisible()
  expect(await cookies(page)).toEqual([])

  await signIn(page, key)
  await expect(page.getByRole('heading', { name: 'Guarded' })).toBeVisible()
  await expect(page).toHaveURL(/panel=journal/)
  await expect(page.getByRole('status').filter({ hasText: /^live$/ })).toBeVisible()
  await expect(page.locator('.account')).toHaveText('Ada operator')
  expect(await page.evaluate(() => JSON.stringify({ ...localStorage, ...sessionStorage }))).not.toContain(key)
  await page.reload()
  await expect(page.locator('.account')).toHaveText('Ada operator')

  await page.getByRole('button', { name: 'Sign out' }).click()
  await expect(page.getByRole('heading', { name: 'Sign in' })).toBeVisible()
  await expect(page.getByText('Guarded')).toHaveCount(0)
  expect(await cookies(page)).toEqual([])
})

test('a key that is revoked ends what is open', async ({ page, server }) => {
  const { id, key } = await keyOf(server, 'viewer')
  await page.goto(server.address)
  await signIn(page, key)
  await expect(page.getByRole('table', { name: 'Sessions' })).toBeVisible()
  await expect(page.getByRole('status').filter({ hasText: /^live$/ })).toBeVisible()
  const revoked = await fetch(`${server.address}/api/v1/keys/${id}`, {
    method: 'DELETE',
    headers: { authorization: `Bearer ${rootKey}` },
  })
  expect(revoked.status).toBe(204)
  await expect(page.getByRole('heading', { name: 'Sign in' })).toBeVisible()
})

test('what a viewer may not do is not offered, and an operator is offered it', async ({ page, server }) => {
  const sessionId = await waitingRun(server)
  const offers = () => ({
    review: page.getByRole('button', { name: 'Approve' }),
    control: page.getByRole('group', { name: 'Session' }),
    fork: page.getByRole('button', { name: 'Fork from here' }),
  })
  await page.goto(`${server.address}/sessions/${sessionId}?node=a&panel=node`)
  await signIn(page, (await keyOf(server, 'viewer')).key)
  await expect(page.getByRole('status').filter({ hasText: /^live$/ })).toBeVisible()
  await expect(page.locator('.app-bar .chip')).toHaveText('running')
  await expect(page.getByRole('button', { name: 'Share' })).toBeVisible()
  for (const offer of Object.values(offers())) await expect(offer).toHaveCount(0)
  await expect(page.getByRole('textbox', { name: 'Signal' })).toHaveCount(0)
  await expect(page.getByRole('link', { name: 'Keys' })).toHaveCount(0)
  await page.goto(server.address)
  await expect(page.getByRole('row').filter({ hasText: 'Guarded' }).first()).toBeVisible()
  await expect(page.getByRole('button', { name: 'New run' })).toHaveCount(0)
  await page.goto(`${server.address}/?page=keys`)
  await expect(page.getByText('There is nothing at this address.')).toBeVisible()

  await page.getByRole('button', { name: 'Sign out' }).click()
  await signIn(page, (await keyOf(server, 'operator')).key)
  await expect(page.locator('.account')).toContainText('operator')
  await page.goto(`${server.address}/sessions/${sessionId}?node=a&panel=node`)
  for (const offer of Object.values(offers())) await expect(offer).toBeVisible()
  // The server writes down who it was.
  await expect(page.getByLabel('Your name')).toHaveCount(0)
  await page.getByRole('button', { name: 'Approve' }).click()
  const signalled = async () => {
    const { events } = await server.get<EventPage>(`/sessions/${sessionId}/events`)
    return events.find(({ event }) => event.type === 'signalled')?.by?.name
  }
  await expect.poll(signalled).toBe('a operator')
})

test('an administrator makes a key, which is shown once, and revokes it', async ({ page, server }) => {
  await page.goto(server.address)
  await signIn(page, (await keyOf(server, 'admin')).key)
  await page.getByRole('link', { name: 'Keys' }).click()
  await expect(page).toHaveURL(`${server.address}/?page=keys`)
  await page.getByRole('button', { name: 'New key' }).click()
  const dialog = page.getByRole('dialog', { name: 'New key' })
  await dialog.getByLabel('Name').fill('nightly')
  await expect(dialog.getByLabel('Role').getByRole('option', { name: 'root' })).toHaveCount(0)
  await dialog.getByLabel('Role').selectOption('engine')
  await dialog.getByLabel('Valid for').selectOption({ label: '30 days' })
  await dialog.getByRole('button', { name: 'Create key' }).click()
  const key = await dialog.getByLabel('nightly').inputValue()
  expect(key).toMatch(/^rlv_[0-9A-Za-z]{40,}$/)
  await page.context().grantPermissions(['clipboard-read', 'clipboard-write'])
  await dialog.getByRole('button', { name: 'Copy' }).click()
  await expect(dialog.getByRole('button', { name: 'Copied' })).toBeVisible()
  expect(await page.evaluate(() => navigator.clipboard.readText())).toBe(key)
  await dialog.getByRole('button', { name: 'Done' }).click()
  await expect(page.locator('body')).not.toContainText(key)

  const who = () => fetch(`${server.address}/api/v1/me`, { headers: { authorization: `Bearer ${key}` } })
  expect(((await (await who()).json()) as { role: string }).role).toBe('engine')
  const row = page.getByRole('row').filter({ hasText: 'nightly' })
  await expect(row).toContainText('engine')
  await expect(row).toContainText('never')
  await expect(row).toContainText('until')
  expect(await violations(page)).toEqual([])
  await row.getByRole('button', { name: 'Revoke nightly' }).click()
  await page.getByRole('dialog').getByRole('button', { name: 'Revoke', exact: true }).click()
  await expect(row).toContainText('revoked')
  await expect(row.getByRole('button')).toHaveCount(0)
  expect((await who()).status).toBe(401)
})

/** Opens a link in a browser that has never been here, and records what it asks for. */
async function guest(browser: Browser, link: string): Promise<{ page: Page; asked: string[] }> {
  const page = await (await browser.newContext()).newPage()
  const asked: string[] = []
  page.on('request', (request) => asked.push(request.url() + JSON.stringify(request.headers())))
  page.on('websocket', (socket) => asked.push(socket.url()))
  await page.goto(link)
  return { page, asked }
}

test('a share link shows one session, and its token leaves the address', async ({ browser, page, server }) => {
  const [sessionId, other] = [await waitingRun(server), await waitingRun(server)]
  await page.goto(`${server.address}/sessions/${sessionId}`)
  await signIn(page, (await keyOf(server, 'viewer')).key)
  await page.getByRole('button', { name: 'Share' }).click()
  const dialog = page.getByRole('dialog', { name: 'Share this session' })
  await dialog.getByLabel('Valid for').selectOption({ label: '7 days' })
  await dialog.getByRole('button', { name: 'Create link' }).click()
  const link = await dialog.getByLabel('Link').inputValue()
  const { pathname, search, hash } = new URL(link)
  expect([pathname, search]).toEqual([`/sessions/${sessionId}`, ''])
  const token = new URLSearchParams(hash.slice(1)).get('token') ?? ''
  expect(token.split('.')).toHaveLength(3)

  const { page: shared, asked } = await guest(browser, link)
  await expect(shared.getByRole('heading', { name: 'Guarded' })).toBeVisible()
  await expect(shared.getByRole('status').filter({ hasText: /^live$/ })).toBeVisible()
  await expect(shared).toHaveURL(`${server.address}/sessions/${sessionId}`)
  await expect(shared.locator('.account')).toHaveText('guest')
  // Once, in a header, to be exchanged.
  expect(asked.filter((request) => request.includes(token)).map((request) => request.split('{')[0])).toEqual([
    `${server.address}/api/v1/sign-in`,
  ])
  for (const name of ['Approve', 'Fork from here', 'Share']) {
    await expect(shared.getByRole('button', { name })).toHaveCount(0)
  }
  await expect(shared.getByRole('group', { name: 'Session' })).toHaveCount(0)
  // A new page, without the fragment, is signed in by the cookie. It sees this session, and no other.
  await shared.goto(server.address)
  await expect(shared.getByRole('status').filter({ hasText: /^1 session$/ })).toBeVisible()
  await shared.goto(`${server.address}/sessions/${other}`)
  await expect(shared.getByText('You may not see this session.')).toBeVisible()
  await shared.context().close()
})

test('a share link does not silently replace a sign-in', async ({ page, server }) => {
  const sessionId = await waitingRun(server)
  const { token } = await server.post<CreatedToken>('/tokens', { scopes: [`read:sessions:${sessionId}`] })
  const link = `${server.address}/sessions/${sessionId}#token=${token}`
  await page.goto(server.address)
  await signIn(page, (await keyOf(server, 'operator', 'Ada')).key)
  await expect(page.locator('.account')).toHaveText('Ada operator')
  for (const [button, account] of [
    ['Stay signed in', 'Ada operator'],
    ['Sign out, and go on as guest', 'guest'],
  ] as const) {
    // From elsewhere: a change of the fragment alone loads nothing.
    await page.goto('about:blank')
    await page.goto(link)
    await expect(page).toHaveURL(`${server.address}/sessions/${sessionId}`)
    await page.getByRole('button', { name: button }).click()
    await expect(page.getByRole('heading', { name: 'Guarded' })).toBeVisible()
    await expect(page.locator('.account')).toContainText(account)
  }
})

test('a share link that is not valid says so', async ({ page, server }) => {
  const sessionId = await waitingRun(server)
  await page.goto(`${server.address}/sessions/${sessionId}#token=a.b.c`)
  await expect(page.getByText('The link that you opened is not valid any more.')).toBeVisible()
  await expect(page).toHaveURL(`${server.address}/sessions/${sessionId}`)
})

test('the journal and the node say who did what', async ({ page, server }) => {
  const sessionId = await waitingRun(server)
  const { key } = await keyOf(server, 'reviewer', 'Rita')
  await page.goto(`${server.address}/sessions/${sessionId}?panel=journal`)
  await signIn(page, key)
  const rows = page.locator('.journal-row')
  await expect(rows.filter({ hasText: 'Run created' })).toContainText('root')
  await page.getByRole('button', { name: 'Approve' }).click()
  const reviewed = rows.filter({ hasText: 'Ask review: approved' })
  await expect(reviewed).toContainText('Rita')
  await expect(reviewed.getByRole('button')).toHaveAccessibleName(/review: approved, by Rita$/)
  const commands = [{ type: 'setNodeStatus', nodeId: 'a', status: 'completed' }]
  await server.post(`/sessions/${sessionId}/commands`, commands)
  // Of what the page has seen itself, and of what it reads of the server.
  await page.getByRole('tab', { name: 'Node' }).click()
  await page.locator('.node-card').first().click()
  await expect(page.locator('.facts')).toContainText('approved by Rita')
  await page.goto(`${server.address}/sessions/${sessionId}?node=a&panel=node`)
  await expect(page.locator('.facts')).toContainText('approved by Rita')
  await page.getByLabel('Switch to Chinese').click()
  await expect(page.locator('.facts')).toContainText('Rita 已批准')
})

test('an administrator reads who did what, and others are not offered it', async ({ page, server }) => {
  const { id } = await server.post<{ id: string }>('/sessions', {})
  const admin = await keyOf(server, 'admin', 'Ada of the audit')
  const viewer = await keyOf(server, 'viewer', 'Vic of the audit')
  const remove = (key: string) =>
    fetch(`${server.address}/api/v1/sessions/${id}`, { method: 'DELETE', headers: { authorization: `Bearer ${key}` } })
  expect([(await remove(viewer.key)).status, (await remove(admin.key)).status]).toEqual([403, 204])

  await page.goto(server.address)
  await signIn(page, viewer.key)
  await expect(page.getByRole('table', { name: 'Sessions' })).toBeVisible()
  await expect(page.getByRole('link', { name: 'Audit log' })).toHaveCount(0)
  await page.goto(`${server.address}/?page=audit`)
  await expect(page.getByText('There is nothing at this address.')).toBeVisible()
  await page.getByRole('button', { name: 'Sign out' }).click()

  await signIn(page, admin.key)
  await expect(page).toHaveURL(`${server.address}/?page=audit`)
  const rows = page.getByRole('row').filter({ hasText: `/api/v1/sessions/${id}` })
  await expect(rows).toHaveCount(2)
  await expect(rows.nth(0)).toContainText('Ada of the audit')
  await expect(rows.nth(0)).toContainText('allowed')
  await expect(rows.nth(1)).toContainText('Vic of the audit')
  await expect(rows.nth(1)).toContainText('refused')
  expect(await violations(page)).toEqual([])

  await page.getByRole('button', { name: 'Only what Vic of the audit did' }).first().click()
  await expect(page.getByRole('row').filter({ hasText: 'Ada of the audit' })).toHaveCount(0)
  await expect(rows).toHaveCount(1)
  await page.getByRole('button', { name: 'Vic of the audit ×' }).click()
  await page.getByLabel('Action, such as delete_session').fill('create_key')
  await page.keyboard.press('Enter')
  await expect(rows).toHaveCount(0)
  await expect(page.getByRole('row').filter({ hasText: 'create_key' }).first()).toBeVisible()
  await page.getByLabel('Switch to Chinese').click()
  await expect(page.getByRole('heading', { name: '审计日志' })).toBeVisible()
  await expect(page.getByRole('columnheader', { name: '操作者' })).toBeVisible()
})
