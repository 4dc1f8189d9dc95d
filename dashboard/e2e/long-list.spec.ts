import { expect, test } from './fixtures'
import { Server } from './server'

// A browser itself complains of a server that is gone.
test.use({ tolerated: /WebSocket connection to|Failed to load resource|ERR_CONNECTION/ })

const graph = (name: string) => ({ name, startNodeId: 'a', nodes: { a: { id: 'a', type: 'command', name: 'A' } } })

/** More than a page of the list has. */
const total = 260

/** Runs of one group, the oldest first. */
async function runs(server: Server, count: number): Promise<{ group: string; ids: string[] }> {
  const { id: group } = await server.post<{ id: string }>('/groups', { name: `Of ${count}` })
  const ids: string[] = []
  for (let made = 0; made < count; made += 1) {
    const body = { graph: graph(`Run number ${made}`), groupId: group }
    const { id } = await server.post<{ id: string }>('/sessions', body)
    ids.push(id)
  }
  return { group, ids }
}

test('a search finds runs by the names of their own graphs', async ({ page, server }) => {
  await server.post('/sessions', { graph: graph('Zanzibar backup') })
  await server.post('/sessions', { graph: graph('Hourly backup') })
  await page.goto(server.address)
  await page.getByRole('searchbox').fill('zanzibar')
  const rows = page.getByRole('table').locator('[data-index]')
  await expect(rows).toHaveCount(1)
  await expect(rows).toContainText('Zanzibar backup')
})

test('rows far down are as true as the first: they change, go, and outlive an outage', async ({ page }) => {
  const server = await Server.start()
  page.removeAllListeners('request')
  page.removeAllListeners('websocket')
  try {
    const { group, ids } = await runs(server, total)
    await page.goto(`${server.address}/?group=${group}`)
    const row = (made: number) =>
      page
        .locator('[data-index]')
        .filter({ hasText: `Run number ${made}` })
        .first()
    const body = page.locator('.table-body')
    const scrollTo = (place: number) => body.evaluate((element, top) => element.scrollTo({ top }), place * 44)
    await expect(page.getByText(`${total} sessions`, { exact: true })).toBeVisible()
    const changed = ids[total - 226] ?? ''
    // The number of all is known before they are read, which is a page at a time as one scrolls.
    await expect(async () => {
      await scrollTo(222)
      await expect(row(total - 226)).toContainText('pending', { timeout: 500 })
    }).toPass()
    await server.post(`/sessions/${changed}/control`, { action: 'cancel' })
    await expect(row(total - 226)).toContainText('cancelled')
    const gone = ids[total - 230] ?? ''
    await fetch(`${server.address}/api/v1/sessions/${gone}`, { method: 'DELETE' })
    await expect(row(total - 230)).toBeHidden()
    await expect(page.getByText(`${total - 1} sessions`, { exact: true })).toBeVisible()

    await server.stop('SIGKILL')
    await expect(page.getByText(/connection lost/)).toBeVisible()
    await server.start()
    const late = ids[total - 228] ?? ''
    await server.post(`/sessions/${late}/control`, { action: 'cancel' })
    await expect(row(total - 228)).toContainText('cancelled', { timeout: 20_000 })
    await expect(page.getByText(`${total - 1} sessions`, { exact: true })).toBeVisible()
  } finally {
    await server.close()
  }
})

test('what is being read stays in its place while runs are added, and when one comes back to it', async ({
  page,
  server,
}) => {
  const { group } = await runs(server, 120)
  await page.goto(`${server.address}/?group=${group}`)
  const body = page.locator('.table-body')
  await expect(page.getByText('120 sessions', { exact: true })).toBeVisible()
  await body.evaluate((element) => element.scrollTo({ top: 44 * 60 }))
  const read = page.locator('[data-index]').filter({ hasText: 'Run number 55' }).first()
  await expect(read).toBeVisible()
  const before = (await read.boundingBox())?.y ?? 0
  for (let made = 0; made < 5; made += 1)
    await server.post('/sessions', { graph: graph(`Later ${made}`), groupId: group })
  await expect(page.getByText('125 sessions', { exact: true })).toBeVisible()
  expect(Math.abs(((await read.boundingBox())?.y ?? 0) - before)).toBeLessThan(2)

  await read.getByRole('link').first().click()
  await expect(page).toHaveURL(/\/sessions\//)
  await page.goBack()
  await expect(read).toBeInViewport()
  expect(Math.abs(((await read.boundingBox())?.y ?? 0) - before)).toBeLessThan(2)

  // At the top, new runs appear at the top.
  await body.evaluate((element) => element.scrollTo({ top: 0 }))
  await server.post('/sessions', { graph: graph('The newest'), groupId: group })
  await expect(page.locator('[data-index="0"]')).toContainText('The newest')
  await expect(page.locator('[data-index="0"]')).toBeInViewport()
})
