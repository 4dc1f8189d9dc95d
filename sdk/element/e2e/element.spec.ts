import type { Locator, Page } from '@playwright/test'
import type { Server } from '../../../dashboard/e2e/server'
import { command, expect, guest, story, test } from './fixtures'
import { example, type Site } from './site'

const element = (page: Page): Locator => page.locator('relive-session')
const node = (page: Page, name: string): Locator => element(page).locator('g.node', { hasText: name })

/** Opens a page of this site. */
async function open(page: Page, site: Site, text: string, headers: Record<string, string> = {}): Promise<void> {
  site.pages.set('/', () => ({ body: text, headers }))
  await page.goto(site.origin)
}

function pageWith(server: Server, id: string, token: string): string {
  return example('page.html', server.address, id, token)
}

/** Sockets of the page that were opened, and those that are open. */
function sockets(page: Page) {
  const counts = { opened: 0, open: 0 }
  page.on('websocket', (socket) => {
    counts.opened += 1
    counts.open += 1
    socket.on('close', () => {
      counts.open -= 1
    })
  })
  return counts
}

test('a static page with a token of a guest shows graph, timeline and messages, live', async ({
  page,
  site,
  server,
}) => {
  const id = await story(server)
  const opened = sockets(page)
  await open(page, site, pageWith(server, id, await guest(server, id)))
  await expect(element(page).getByText('A story')).toBeVisible()
  await expect(node(page, 'Plan')).toHaveClass('node completed')
  await expect(node(page, 'Write')).toHaveClass('node running')
  await expect(element(page).getByRole('listitem')).toHaveText(['Plan', 'Write'])
  await expect(element(page).getByRole('article')).toHaveText([/First the bees\./])

  const headers = {
    'content-type': 'application/json',
    authorization: `Bearer ${'root-key-of-the-element-tests-0123456789'}`,
  }
  await fetch(`${server.address}/api/v1/sessions/${id}/tokens`, {
    method: 'POST',
    headers,
    body: JSON.stringify([{ nodeId: 'write', messageId: 'm', text: 'Once upon' }]),
  })
  await expect(element(page).locator('article.streaming')).toHaveText(/Once upon/)
  await command(
    server,
    id,
    { type: 'addMessage', messageId: 'm', nodeId: 'write', content: 'Once upon a time' },
    { type: 'setNodeStatus', nodeId: 'write', status: 'completed' },
    { type: 'complete' },
  )
  await expect(node(page, 'Write')).toHaveClass('node completed')
  await expect(element(page).getByRole('article')).toHaveText([/First the bees\./, /Once upon a time/])
  await expect(element(page).locator('.status')).toHaveText('completed')
  expect(opened).toEqual({ opened: 1, open: 1 })
})

test('steps within nodes are set in below them, with their kinds; a graph that grows is drawn anew', async ({
  page,
  site,
  server,
}) => {
  const id = await story(server)
  await command(
    server,
    id,
    { type: 'setNodeStatus', nodeId: 'ask', status: 'running', name: 'Ask', parentNodeId: 'write', kind: 'llm' },
    { type: 'setNodeStatus', nodeId: 'look', status: 'running', name: 'Look up', parentNodeId: 'ask', kind: 'tool' },
  )
  await open(page, site, pageWith(server, id, await guest(server, id)))
  const lanes = element(page).getByRole('listitem')
  await expect(lanes).toHaveText(['Plan', 'Write', 'Askllm', 'Look uptool'])
  const set = (at: number) =>
    lanes
      .nth(at)
      .locator('.lane-name')
      .evaluate((found) => Number.parseFloat(getComputedStyle(found).paddingInlineStart))
  expect([await set(0), await set(1), await set(2), await set(3)]).toEqual([0, 0, 10, 20])
  // In the graph they are within the node that they are steps of.
  await expect(element(page).locator('g.node')).toHaveCount(3)
  await command(server, id, {
    type: 'addNodes',
    nodes: { print: { id: 'print', type: 'x', name: 'Print' } },
    edges: [{ from: 'check', to: 'print', label: 'approved' }],
  })
  await expect(node(page, 'Print')).toHaveClass('node pending')
  await expect(element(page).locator('text.label')).toHaveText(['approved'])
})

test('without a graph the kinds of nodes are told on their cards', async ({ page, site, server }) => {
  const { id } = await server.post<{ id: string }>('/sessions', {})
  await command(
    server,
    id,
    { type: 'start' },
    { type: 'setNodeStatus', nodeId: 'ask', status: 'running', name: 'Ask', kind: 'llm' },
  )
  await open(page, site, pageWith(server, id, await guest(server, id)))
  await expect(node(page, 'Ask').locator('.meta')).toHaveText('llm · running')
})

test('log lines are read when somebody wants them, and followed from then on', async ({ page, site, server }) => {
  const id = await story(server)
  const log = (text: string) => command(server, id, { type: 'addLog', nodeId: 'write', level: 'warn', text })
  await command(server, id, {
    type: 'addLog',
    nodeId: 'plan',
    level: 'info',
    text: '<b>bees</b>',
    attributes: { count: 3 },
  })
  const asked: string[] = []
  page.on('request', (request) => {
    if (request.url().includes('/logs?')) asked.push(request.url())
  })
  await open(page, site, pageWith(server, id, await guest(server, id)))
  await expect(node(page, 'Write')).toHaveClass('node running')
  expect(asked).toEqual([])
  await element(page).getByText('Logs').click()
  const lines = element(page).getByRole('log', { name: 'Logs' }).locator('p')
  await expect(lines).toHaveText([/infoPlan<b>bees<\/b> · count: 3$/])
  await log('half way')
  await expect(lines).toHaveText([/bees/, /warnWritehalf way$/])
  const revision = Number(
    await element(page).evaluate((found) => (found as unknown as { session: { revision: number } }).session.revision),
  )
  await log('and on')
  await expect(lines).toHaveCount(3)
  // A moment has the lines of before it.
  await element(page).evaluate((found, moment) => found.setAttribute('moment', String(moment)), revision)
  await expect(lines).toHaveText([/bees/, /half way/])
})

test('what a run says is text, and nothing else', async ({ page, site, server }) => {
  const attack = `<img src=x onerror="window.hacked=1"><script>window.hacked=1</script>`
  const graph = {
    name: attack,
    startNodeId: '__proto__',
    nodes: Object.fromEntries(
      ['__proto__', 'constructor', attack].map((id, at, all) => [
        id,
        { id, type: attack, name: `${attack}${at}`, nextIds: all.slice(at + 1, at + 2) },
      ]),
    ),
  }
  const { id } = await server.post<{ id: string }>('/sessions', { name: `\u202e${attack}`, graph })
  await command(
    server,
    id,
    { type: 'start' },
    { type: 'setNodeStatus', nodeId: '__proto__', status: 'running', name: attack },
    { type: 'addMessage', nodeId: 'constructor', agentId: attack, content: `${attack}\n[x](javascript:hacked=1)` },
    { type: 'setNodeStatus', nodeId: '__proto__', status: 'failed', error: attack },
  )
  await open(page, site, pageWith(server, id, await guest(server, id)))
  await expect(element(page).getByRole('article')).toContainText('<img src=x onerror="window.hacked=1">')
  await expect(element(page).locator('g.node.failed title')).toContainText('<script>')
  await expect(element(page).locator('img, script, a, iframe')).toHaveCount(0)
  await expect(element(page).locator('.bar b')).not.toContainText('\u202e')
  expect(await page.evaluate(() => 'hacked' in window)).toBe(false)
})

test('a moment shows the run as it was, and leaves it again', async ({ page, site, server }) => {
  const id = await story(server)
  await open(page, site, pageWith(server, id, await guest(server, id)))
  await expect(node(page, 'Write')).toHaveClass('node running')
  await element(page).evaluate((found) => found.setAttribute('moment', '3'))
  await expect(node(page, 'Plan')).toHaveClass('node running')
  await expect(node(page, 'Write')).toHaveClass('node pending')
  await expect(element(page).getByRole('listitem')).toHaveText(['Plan'])
  await expect(element(page).getByRole('article')).toHaveCount(0)
  await element(page).evaluate((found) => found.setAttribute('moment', 'yesterday'))
  await expect(element(page).getByRole('alert')).toHaveText('`moment` is neither a revision nor a time')
  await element(page).evaluate((found) => found.removeAttribute('moment'))
  await expect(node(page, 'Write')).toHaveClass('node running')
  await expect(element(page).getByRole('article')).toHaveCount(1)
})

test('another address is another run; moved it stays, and removed it ends', async ({ page, site, server }) => {
  const [first, second] = [await story(server, 'First'), await story(server, 'Second')]
  const { token } = await server.post<{ token: string }>('/tokens', { scopes: ['read:sessions'] })
  const counts = sockets(page)
  await open(page, site, pageWith(server, first, token))
  await expect(element(page).locator('.bar b')).toHaveText('First')
  await element(page).evaluate((found, src) => found.setAttribute('src', src), `${server.address}/sessions/${second}`)
  await expect(element(page).locator('.bar b')).toHaveText('Second')
  await expect.poll(() => counts).toEqual({ opened: 2, open: 1 })
  await element(page).evaluate((found) => document.body.prepend(found))
  await expect(element(page).locator('.bar b')).toHaveText('Second')
  expect(counts).toEqual({ opened: 2, open: 1 })
  await element(page).evaluate((found) => found.remove())
  await expect.poll(() => counts.open).toBe(0)
})

test('its page is asked for a token, at first and before it expires', async ({ page, site, server }) => {
  const id = await story(server)
  let given = 0
  site.pages.set('/relive-token', async () => {
    given += 1
    // The first lasts so short a time that another is needed at once.
    return guest(server, id, given === 1 ? 3 : 900)
  })
  await open(page, site, example('renewed.html', server.address, id))
  await expect(node(page, 'Write')).toHaveClass('node running')
  await expect.poll(() => given, { timeout: 20_000 }).toBe(2)
  // Beyond the end of the first.
  await expect
    .poll(() => element(page).evaluate((found) => found.shadowRoot?.querySelector('.status')?.textContent))
    .toBe('running')
  await command(server, id, { type: 'addMessage', nodeId: 'write', content: 'Still here.' })
  await expect(element(page).getByText('Still here.')).toBeVisible()
})

test.describe('refused', () => {
  test.use({ tolerated: /WebSocket connection|status of 40[13]|CORS policy/ })

  test('without a token it says so, and with one it shows the run', async ({ page, site, server }) => {
    const id = await story(server)
    await open(page, site, pageWith(server, id, ''))
    await expect(element(page).getByRole('alert')).toContainText('cannot be shown')
    await element(page).evaluate((found, token) => Object.assign(found, { token }), await guest(server, id))
    await expect(node(page, 'Write')).toHaveClass('node running')
    // Where scripts of others could read it, it is not.
    expect(await element(page).getAttribute('token')).toBe('')
    await expect(element(page).getByRole('alert')).toHaveCount(0)
  })

  test('a page whose origin is not allowed is told so, and tries no more', async ({ page, stranger, server }) => {
    const id = await story(server)
    const counts = sockets(page)
    await page.clock.install()
    await open(page, stranger, pageWith(server, id, await guest(server, id)))
    await expect(element(page).getByRole('alert')).toContainText('allow its origin with --allow-origin')
    const tried = counts.opened
    expect(tried).toBeLessThanOrEqual(2)
    // The next would come within this time of the page.
    await page.clock.fastForward(60_000)
    expect(counts.opened).toBe(tried)
  })
})

test('a strict Content-Security-Policy does not keep it from being drawn', async ({ page, site, server }) => {
  const id = await story(server)
  const policy = `default-src 'none'; script-src ${server.address}; connect-src ${server.address} ${server.address.replace('http', 'ws')}`
  await open(page, site, pageWith(server, id, await guest(server, id)), { 'content-security-policy': policy })
  await expect(node(page, 'Write')).toHaveClass('node running')
  const bar = element(page).locator('.track i').first()
  expect((await bar.boundingBox())?.width).toBeGreaterThan(1)
  await expect(element(page)).toHaveCSS('display', 'block')
})

test('a large run is drawn in part, and soon', async ({ page, site, server }) => {
  const ids = Array.from({ length: 3_000 }, (_, at) => `n${at}`)
  const nodes = Object.fromEntries(
    ids.map((id, at) => [id, { id, type: 'x', name: id, nextIds: ids.slice(at + 1, at + 2) }]),
  )
  const { id } = await server.post<{ id: string }>('/sessions', { graph: { name: 'g', startNodeId: 'n0', nodes } })
  await command(server, id, { type: 'start' })
  for (let at = 0; at < 3_000; at += 500) {
    const batch = ids.slice(at, at + 500)
    await command(
      server,
      id,
      ...batch.map((nodeId) => ({ type: 'setNodeStatus', nodeId, status: 'completed' }) as const),
    )
  }
  await open(page, site, pageWith(server, id, await guest(server, id)))
  await expect(element(page).getByText('and 2000 more nodes')).toBeVisible()
  await expect(element(page).locator('g.node')).toHaveCount(1_000)
})
