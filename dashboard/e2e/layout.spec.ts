import type { Locator, Page } from '@playwright/test'

import { runCouncil } from '../scripts/council.mjs'
import { expect, test } from './fixtures'
import type { Server } from './server'

const widths = [1440, 1280, 1024, 900, 390]
const why = 'Connection refused: the server at 10.0.0.7 did not answer within thirty seconds. '.repeat(8)

/** How far the content of an element reaches beyond its box, and its box beyond the window. */
const excess = (locator: Locator) =>
  locator.evaluate((element) => {
    const { left, right } = element.getBoundingClientRect()
    return Math.max(element.scrollWidth - element.clientWidth, right - innerWidth, -left)
  })

async function expectToFit(locator: Locator, what: string): Promise<void> {
  await expect(locator).toBeVisible()
  expect(await excess(locator), what).toBeLessThanOrEqual(1)
}

const resize = (page: Page, width: number) => page.setViewportSize({ width, height: width < 500 ? 844 : 900 })

async function failedRun(server: Server): Promise<string> {
  const graph = { name: 'Nightly', startNodeId: 'a', nodes: { a: { id: 'a', type: 'command', name: 'A' } } }
  const { id } = await server.post<{ id: string }>('/sessions', { graph })
  await server.post(`/sessions/${id}/commands`, [{ type: 'start' }, { type: 'fail', error: why }])
  return id
}

test('long names and errors leave dialogs and rows whole', async ({ page, server }) => {
  const name = 'For the quarterly planning of the whole organisation, its branches and all of its partners abroad'
  const { id: groupId } = await server.post<{ id: string }>('/groups', { name })
  const graph = { name: 'W', startNodeId: 'a', nodes: { a: { id: 'a', type: 'start', name: 'A' } } }
  await server.post('/workflows', { name, graph, groupId })
  const id = await failedRun(server)
  await page.goto(server.address)
  for (const width of widths) {
    await resize(page, width)
    const row = page.locator('[data-index]').filter({ hasText: 'Nightly' }).filter({ hasText: 'Connection' }).first()
    await expectToFit(row.getByRole('link', { name: 'Nightly' }), `the name at ${width}`)
    await page.getByRole('button', { name: 'New run' }).first().click()
    const dialog = page.getByRole('dialog', { name: 'New run' })
    await expectToFit(dialog.locator('.dialog-body'), `the dialog at ${width}`)
    await expect(dialog.getByRole('heading', { name: 'New run' })).toBeInViewport()
    await page.keyboard.press('Escape')
    await expect(dialog).toBeHidden()
  }
  expect(id).not.toBe('')
})

test('figures and names in headers are whole at every width', async ({ page, server }) => {
  const { id } = await server.post<{ id: string }>('/sessions', { name: 'Of the quarterly planning, and what follows' })
  const speaker = `The one who speaks ${'for all the others '.repeat(6)}`
  await server.post(`/sessions/${id}/commands`, [
    { type: 'start' },
    { type: 'setNodeStatus', nodeId: 'long', name: speaker, status: 'running' },
    { type: 'addMessage', nodeId: 'long', content: 'Whole at its beginning.', tokenCount: 1234 },
    { type: 'recordUsage', nodeId: 'long', model: 'm', inputTokens: 1_200_345, outputTokens: 45_678, costUsd: 0.2356 },
  ])
  await page.goto(`${server.address}/sessions/${id}?panel=messages`)
  for (const width of widths) {
    await resize(page, width)
    await expectToFit(page.locator('.totals'), `the figures at ${width}`)
    const cut = await page.locator('.totals > *').evaluateAll((parts) => {
      const shown = parts.filter((part) => part.getClientRects().length > 0)
      const end = document.querySelector('.connection')?.getBoundingClientRect()
      return shown
        .map((part) => part.getBoundingClientRect())
        .filter(
          ({ right, top, bottom }) => end !== undefined && right > end.left && bottom > end.top && top < end.bottom,
        ).length
    })
    expect(cut, `figures below others at ${width}`).toBe(0)
    const name = page.getByRole('log').getByRole('button', { name: speaker.trim() })
    await name.scrollIntoViewIfNeeded()
    const hidden = await name.evaluate((button) => {
      const text = document.createRange()
      text.selectNodeContents(button)
      return button.getBoundingClientRect().left - text.getBoundingClientRect().left
    })
    expect(hidden, `the beginning of the name at ${width}`).toBeLessThanOrEqual(1)
  }
})

test('on a phone, what waits for somebody, the first node and the thumb can be reached', async ({ page, server }) => {
  await resize(page, 390)
  const { sessionId, close } = await runCouncil(server.address, { pace: 0, until: 'review', reviews: 'approve' })
  close()
  await page.goto(`${server.address}/sessions/${sessionId}`)
  const review = page.getByRole('region', { name: 'Human review is waiting for you' })
  await expect(review.getByRole('button', { name: 'Approve' })).toBeInViewport({ ratio: 1 })
  await expect(page.locator('.scrubber')).toBeVisible()
  const outside = await page.evaluate(() => {
    const [thumb, track] = ['.scrubber-thumb', '.scrubber'].map((name) =>
      document.querySelector(name)?.getBoundingClientRect(),
    )
    return Math.max((thumb?.right ?? 9999) - innerWidth, (track?.right ?? 9999) - innerWidth)
  })
  expect(outside).toBeLessThanOrEqual(0)

  const nodes = Object.fromEntries(
    Array.from({ length: 14 }, (_, n) => [
      `n${n}`,
      { id: `n${n}`, type: 'command', name: `Node ${n}`, nextIds: n < 13 ? [`n${n + 1}`] : [] },
    ]),
  )
  const { id } = await server.post<{ id: string }>('/sessions', { graph: { name: 'Long', startNodeId: 'n0', nodes } })
  await page.goto(`${server.address}/sessions/${id}`)
  const first = page.getByRole('button', { name: /^Node 0, / })
  await expect(first).toBeVisible()
  await expect
    .poll(async () => {
      const [find, node] = await Promise.all([page.locator('.find-node').boundingBox(), first.boundingBox()])
      if (find === null || node === null) return true
      return node.x < find.x + find.width && node.y < find.y + find.height
    })
    .toBe(false)
})

test('the name of a run that goes on is beside its buttons at every width', async ({ page, server }) => {
  const { id } = await server.post<{ id: string }>('/sessions', { name: 'Council on the budget' })
  await server.post(`/sessions/${id}/control`, { action: 'start' })
  await page.goto(`${server.address}/sessions/${id}`)
  const name = page.getByRole('heading', { name: 'Council on the budget' })
  for (const width of widths) {
    await resize(page, width)
    await expect(page.getByRole('button', { name: 'Cancel run' })).toBeInViewport({ ratio: 1 })
    await expectToFit(name, `the name at ${width}`)
  }
})

test('on a phone the page that is open is in view among the others, and the chosen tab among the tabs', async ({
  page,
  server,
}) => {
  await resize(page, 390)
  await page.goto(`${server.address}/?page=retention`)
  const current = page.locator('.page-nav [aria-current]')
  await expect(current).toHaveText('Retention')
  await expect(current).toBeInViewport({ ratio: 0.99 })
  const { id } = await server.post<{ id: string }>('/sessions', { name: 'Compared' })
  await server.post(`/sessions/${id}/control`, { action: 'start' })
  await resize(page, 1440)
  await page.goto(`${server.address}/sessions/${id}?panel=compare&revision=2&compare=1`)
  const tab = page.getByRole('tab', { name: 'Compare' })
  await expect(tab).toHaveAttribute('aria-selected', 'true')
  await expect(tab).toBeInViewport({ ratio: 0.99 })
})

test('words of a table are not broken into letters on a phone', async ({ page, server }) => {
  const webhook = await server.post<{ id: string }>('/webhooks', {
    url: 'https://example.org/hook',
    types: ['session.failed'],
  })
  await server.post(`/webhooks/${webhook.id}/test`, {})
  await page.addInitScript(() => localStorage.setItem('relive.language', 'zh'))
  await resize(page, 390)
  await page.goto(`${server.address}/?page=webhooks&id=${webhook.id}`)
  const status = page.locator('.status-word').first()
  await expect(status).toBeVisible()
  const lines = await status.evaluate((cell) => {
    const range = document.createRange()
    range.selectNodeContents(cell)
    return range.getClientRects().length
  })
  expect(lines).toBe(1)
})
