import type { Page } from '@playwright/test'

import { runCouncil } from '../scripts/council.mjs'
import { violations } from './axe'
import { test as base, expect, test } from './fixtures'
import { Server } from './server'

/** A server on which nothing has run. */
const fresh = base.extend<object, { server: Server }>({
  server: [
    async ({}, use) => {
      const server = await Server.start()
      await use(server)
      await server.close()
    },
    { scope: 'worker', timeout: 60_000 },
  ],
})

fresh('a first run is one click away, and lines for one’s own are copied', async ({ page, server, context }) => {
  await context.grantPermissions(['clipboard-read', 'clipboard-write'])
  await page.goto(server.address)
  await expect(page.getByRole('heading', { name: 'No runs yet' })).toBeVisible()
  const lines = page.getByRole('tabpanel')
  await expect(lines).toContainText(`curl -X POST localhost:${server.port}/api/v1/sessions`)
  await page.getByRole('tab', { name: 'curl' }).focus()
  await page.keyboard.press('ArrowRight')
  await expect(page.getByRole('tab', { name: 'Python' })).toBeFocused()
  await expect(lines).toContainText(`export RELIVE_URL=${server.address}`)
  await lines.getByRole('button', { name: 'Copy' }).last().click()
  await expect(lines.getByRole('button', { name: 'Copied' })).toBeVisible()
  expect(await page.evaluate(() => navigator.clipboard.readText())).toContain('with relive.run("Nightly ETL"')
  for (const colorScheme of ['light', 'dark'] as const) {
    await page.emulateMedia({ colorScheme, reducedMotion: 'reduce' })
    expect(await violations(page)).toEqual([])
  }
  await page.getByRole('tab', { name: 'TypeScript' }).click()
  await expect(lines).toContainText("import { run } from '@relive/types'")

  await page.getByRole('button', { name: 'Start a first run' }).click()
  await expect(page.getByRole('heading', { name: 'First run' })).toBeVisible()
  await expect(page.getByRole('region', { name: 'Your turn is waiting for you' })).toBeVisible({ timeout: 30_000 })
  await page.getByRole('button', { name: 'Approve' }).click()
  await expect(page.locator('.app-bar .chip')).toHaveText('completed')
})

const palette = (page: Page) => page.getByRole('dialog', { name: 'Go to…' })
const options = (page: Page) => palette(page).getByRole('option')

test('the palette finds runs, pages and actions, and changes nothing in the page below it', async ({
  page,
  server,
}) => {
  const { id } = await server.post<{ id: string }>('/sessions', { name: 'Palette target' })
  await server.post(`/sessions/${id}/control`, { action: 'start' })
  const { id: other } = await server.post<{ id: string }>('/sessions', { name: 'Palette other' })
  const asked: string[] = []
  page.on('request', (request) => {
    const { pathname, search } = new URL(request.url())
    if (pathname.includes('/api/')) asked.push(pathname + search)
  })
  await page.goto(`${server.address}/sessions/${other}`)
  await expect(page.locator('.app-bar .chip')).toHaveText('pending')
  // All that the page of a run reads at first.
  for (const what of ['/messages?', '/usage', '/events?after=0&limit=200', '/timeline'])
    await expect.poll(() => asked.some((path) => path.includes(other + what))).toBe(true)
  asked.length = 0
  await page.keyboard.press('Control+k')
  await expect(page.getByRole('combobox', { name: 'Find sessions, pages and actions…' })).toBeFocused()
  await expect(options(page).first()).toBeVisible()
  await page.keyboard.type('palette targ')
  await expect(options(page).filter({ hasText: 'Palette target' })).toHaveAttribute('aria-selected', 'true')
  expect(
    asked.filter((path) => path.includes(other)),
    'nothing of the run is read again',
  ).toEqual([])
  await page.keyboard.press('Enter')
  await expect(palette(page)).toHaveCount(0)
  await expect(page).toHaveURL(`${server.address}/sessions/${id}`)
  await expect(page.locator('.app-bar .chip')).toHaveText('running')
  // The new page has read its own beginning once.
  const first = `/api/v1/sessions/${id}/events?after=0&limit=1`
  await expect.poll(() => asked.filter((path) => path === first)).toHaveLength(1)

  // What can be done to this run, and what cannot is not offered.
  await page.keyboard.press('Control+k')
  await page.keyboard.type('this run')
  await expect(options(page)).toHaveText([/Pause/, /Stop/, /Cancel run/])
  await page.keyboard.press('Enter')
  await expect(page.locator('.app-bar .chip')).toHaveText('paused')
  await page.keyboard.press('Control+k')
  await page.keyboard.type('this run: cancel')
  await page.keyboard.press('Enter')
  await page.getByRole('dialog', { name: 'Cancel this run?' }).getByRole('button', { name: 'Back' }).click()

  await page.keyboard.press('Control+k')
  await page.keyboard.type('inbox')
  await options(page).filter({ hasText: 'Inbox' }).first().click()
  await expect(page).toHaveURL(`${server.address}/?page=inbox`)
  await page.keyboard.press('Control+k')
  await page.keyboard.press('Escape')
  await expect(palette(page)).toHaveCount(0)
})

test('every key is listed by ?, and not while one writes', async ({ page, server }) => {
  await page.goto(server.address)
  await expect(page.getByRole('table')).toBeVisible()
  await page.keyboard.press('/')
  await expect(page.getByRole('searchbox')).toBeFocused()
  await page.keyboard.type('why?')
  await expect(page.getByRole('searchbox')).toHaveValue('why?')
  const dialog = page.getByRole('dialog', { name: 'Keyboard shortcuts' })
  await expect(dialog).toHaveCount(0)
  await page.getByRole('button', { name: 'Menu' }).click()
  await page.getByRole('navigation', { name: 'Menu' }).getByRole('button', { name: 'Keyboard shortcuts' }).click()
  await expect(dialog.getByRole('region', { name: 'In the list' })).toContainText('Unfold or fold its children')
  await page.keyboard.press('Escape')
  await expect(dialog).toHaveCount(0)
  await page.locator('body').click({ position: { x: 2, y: 400 } })
  await page.keyboard.press('?')
  await expect(dialog).toBeVisible()
})

const separator = (page: Page, name: string) => page.getByRole('separator', { name })
const value = async (page: Page, name: string) => Number(await separator(page, name).getAttribute('aria-valuenow'))

/** How far the page, or a part of it, reaches beyond the window. */
async function beyond(page: Page): Promise<number> {
  return page.evaluate(() => {
    const parts = ['main', '.panels', '.app-bar', '.timeline', '.sidebar'].flatMap((name) => {
      const box = document.querySelector(name)?.getBoundingClientRect()
      return box === undefined || box.width === 0 ? [] : [box.right - innerWidth, -box.left]
    })
    return Math.max(document.documentElement.scrollWidth - innerWidth, ...parts)
  })
}

async function drag(page: Page, name: string, by: number): Promise<void> {
  const box = await separator(page, name).boundingBox()
  if (box === null) throw new Error(`no separator ${name}`)
  const [x, y] = [box.x + box.width / 2, box.y + box.height / 2]
  await page.mouse.move(x, y)
  await page.mouse.down()
  await page.mouse.move(x + by / 2, y, { steps: 4 })
  await page.mouse.move(x + by, y, { steps: 4 })
  await page.mouse.up()
}

test('parts of a run’s page are resized, kept, and never make it wider than the window', async ({ page, server }) => {
  const { sessionId, close } = await runCouncil(server.address, { pace: 0, until: 'review', reviews: 'approve' })
  close()
  await page.goto(`${server.address}/sessions/${sessionId}?panel=messages`)
  await expect(page.getByRole('log')).toBeVisible()
  const before = await value(page, 'Width of the panel')
  await drag(page, 'Width of the panel', -90)
  expect(await value(page, 'Width of the panel')).toBe(before + 90)
  await page.reload()
  await expect(page.getByRole('log')).toBeVisible()
  expect(await value(page, 'Width of the panel')).toBe(before + 90)
  const box = await page.locator('.panels').boundingBox()
  expect(Math.round(box?.width ?? 0)).toBe(before + 90)
  await separator(page, 'Width of the panel').dblclick()
  expect(await value(page, 'Width of the panel')).toBe(before)

  // By keys; the replay does not move for them.
  await separator(page, 'Width of the list').focus()
  await page.keyboard.press('ArrowRight')
  expect(await value(page, 'Width of the list')).toBe(272)
  await page.keyboard.press('End')
  await expect(page).not.toHaveURL(/revision=/)

  for (const width of [1440, 1024, 900]) {
    await page.setViewportSize({ width, height: 900 })
    for (const name of ['Width of the panel', 'Width of the list']) {
      if (!(await separator(page, name).isVisible())) continue
      await drag(page, name, name === 'Width of the panel' ? -2000 : 2000)
    }
    for (const panel of ['Messages', 'Node', 'Journal', 'Run']) {
      await page.getByRole('tab', { name: panel, exact: true }).click()
      expect(await beyond(page), `${panel} at ${width}, as wide as can be`).toBeLessThanOrEqual(0)
    }
    expect((await page.locator('main').boundingBox())?.width, `the graph at ${width}`).toBeGreaterThan(300)
  }
  // What is wide in a large window fits a smaller one, unasked.
  await page.setViewportSize({ width: 1440, height: 900 })
  await drag(page, 'Width of the panel', -2000)
  await page.setViewportSize({ width: 900, height: 900 })
  expect(await beyond(page)).toBeLessThanOrEqual(0)
})

test('in reading mode there is what was said, in a column, and it is an address', async ({ page, server }) => {
  const { sessionId, close } = await runCouncil(server.address, { pace: 0, until: 'review', reviews: 'approve' })
  close()
  await page.goto(`${server.address}/sessions/${sessionId}?panel=messages`)
  await expect(page.locator('.node-card').first()).toBeVisible()
  await page.getByRole('button', { name: 'Reading mode' }).click()
  await expect(page).toHaveURL(/reading=true/)
  await expect(page.locator('main')).toBeHidden()
  await expect(page.locator('.gantt')).toBeHidden()
  await expect(page.getByRole('log')).toContainText('Rewrote section 2')
  await expect(page.locator('.transport')).toBeVisible()
  await expect(page.getByRole('region', { name: 'Human review is waiting for you' })).toBeVisible()
  expect(await beyond(page)).toBeLessThanOrEqual(0)
  const log = await page.getByRole('log').boundingBox()
  expect(log?.width).toBeLessThanOrEqual(920)
  expect(log?.width).toBeGreaterThan(700)
  await page.reload()
  await expect(page.locator('main')).toBeHidden()
  await page.getByRole('button', { name: 'Reading mode' }).focus()
  await page.keyboard.press('r')
  await expect(page.locator('.node-card').first()).toBeVisible()
  await expect(page).not.toHaveURL(/reading/)
})
