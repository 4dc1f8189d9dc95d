// The timeline: zoom, pan, idle stretches, the axis by event, steps as a waterfall, and the bars that are drawn.

import type { Locator, Page } from '@playwright/test'
import type { Command, WorkflowSession } from '@relive/types'

import { violations } from './axe'
import { expect, test } from './fixtures'
import type { Server } from './server'

const second = 1000
const hour = 3_600_000

interface Ran {
  readonly id: string
  /** Before now, in milliseconds. */
  readonly from: number
  readonly to: number
  readonly parent?: string
  readonly failed?: boolean
}

/** A run that is over, whose nodes ran as their engine says. */
async function ran(server: Server, ...nodes: Ran[]): Promise<string> {
  const { id } = await server.post<WorkflowSession>('/sessions', {})
  const now = Date.now()
  const at = (before: number) => new Date(now - before).toISOString()
  const begun = new Set<string>()
  const reported = nodes.flatMap(({ id: nodeId, from, to, parent, failed }): Command[] => {
    const again = begun.has(nodeId)
    begun.add(nodeId)
    const ended: Command = {
      type: 'setNodeStatus',
      nodeId,
      status: failed === true ? 'failed' : 'completed',
      name: nodeId,
      startedAt: at(from),
      completedAt: at(to),
      ...(parent !== undefined && { parentNodeId: parent }),
    }
    return again ? [{ type: 'setNodeStatus', nodeId, status: 'running', startedAt: at(from) }, ended] : [ended]
  })
  await server.post(`/sessions/${id}/commands`, [{ type: 'start' }, ...reported, { type: 'complete' }])
  return id
}

const area = (page: Page) => page.getByRole('application', { name: 'Attempts, as bars' })
const tip = (page: Page) => page.locator('.bar-tip')
const zoomOf = (page: Page) => page.locator('.scrubber-zoom')

async function box(locator: Locator) {
  const found = await locator.boundingBox()
  if (found === null) throw new Error('it has no place')
  return found
}

async function open(page: Page, server: Server, id: string): Promise<void> {
  await page.goto(`${server.address}/sessions/${id}`)
  await expect(page.locator('.lane').first()).toBeVisible()
}

/** Points at a part of the width of a lane: at nothing, or at the bar that the tip describes. */
async function pointAt(page: Page, lane: number, share: number): Promise<{ x: number; y: number }> {
  const { x, y, width } = await box(area(page))
  const at = { x: x + width * share, y: y + lane * 24 + 12 }
  // What was pointed at before must not be taken for it.
  await page.mouse.move(at.x, at.y - 200)
  await expect(tip(page)).toHaveCount(0)
  await page.mouse.move(at.x, at.y)
  return at
}

async function expectAt(page: Page, lane: number, share: number, name: string | undefined): Promise<void> {
  await pointAt(page, lane, share)
  if (name === undefined) await expect(tip(page)).toHaveCount(0)
  else await expect(tip(page)).toContainText(name)
}

/** The part of the run that is in view, as the scrubber shows it. */
async function inView(page: Page): Promise<{ from: number; to: number }> {
  const [zoom, whole] = [await box(zoomOf(page)), await box(page.locator('.scrubber'))]
  return { from: (zoom.x - whole.x) / whole.width, to: (zoom.x + zoom.width - whole.x) / whole.width }
}

const threeInARow = (server: Server) =>
  ran(
    server,
    { id: 'first', from: 90 * second, to: 60 * second },
    { id: 'second', from: 60 * second, to: 30 * second },
    { id: 'third', from: 30 * second, to: 0 },
  )

async function option(page: Page, name: string): Promise<void> {
  await page.getByRole('button', { name: 'Options of the timeline' }).click()
  await page.getByLabel(name).click()
  await page.keyboard.press('Escape')
}

test('the wheel zooms around the pointer, a drag pans, and there are buttons and keys', async ({ page, server }) => {
  await open(page, server, await threeInARow(server))
  await expectAt(page, 1, 0.5, 'second')
  await expectAt(page, 1, 0.2, undefined)
  await expect(zoomOf(page)).toHaveCount(0)

  const at = await pointAt(page, 1, 0.4)
  await page.keyboard.down('Control')
  for (let turn = 0; turn < 4; turn += 1) await page.mouse.wheel(0, -100)
  await page.keyboard.up('Control')
  await expect(zoomOf(page)).toBeVisible()
  const zoomed = await inView(page)
  expect(zoomed.to - zoomed.from).toBeLessThan(0.35)
  // What was at the pointer still is: a fifth into the second bar.
  expect(zoomed.from + 0.4 * (zoomed.to - zoomed.from)).toBeCloseTo(0.4, 1)
  await expectAt(page, 1, 0.4, 'second')

  await page.mouse.move(at.x, at.y)
  await page.mouse.down()
  await page.mouse.move(at.x - 150, at.y, { steps: 5 })
  await page.mouse.move(at.x - 300, at.y, { steps: 5 })
  await page.mouse.up()
  const panned = await inView(page)
  const { width } = await box(area(page))
  expect(panned.from - zoomed.from).toBeCloseTo((300 / width) * (zoomed.to - zoomed.from), 1)
  expect(panned.from).toBeGreaterThan(zoomed.from + 0.02)
  // Panning is no seeking.
  await expect(page).not.toHaveURL(/revision=/)

  await page.keyboard.press('Shift+ArrowLeft')
  await expect.poll(async () => (await inView(page)).from).toBeLessThan(panned.from - 0.02)
  await page.keyboard.press('0')
  await expect(zoomOf(page)).toHaveCount(0)
  await page.keyboard.press('+')
  await page.keyboard.press('+')
  const closer = await inView(page)
  expect(closer.to - closer.from).toBeCloseTo(1 / 1.6 ** 2, 1)
  await page.keyboard.press('-')
  await page.keyboard.press('-')
  await expect(zoomOf(page)).toHaveCount(0)

  const tools = page.getByRole('group', { name: 'Timeline view' })
  await tools.getByRole('button', { name: 'Zoom in' }).click()
  await expect(zoomOf(page)).toBeVisible()
  await tools.getByRole('button', { name: 'Zoom out' }).click()
  await expect(zoomOf(page)).toHaveCount(0)
  await tools.getByRole('button', { name: 'Zoom in' }).click()
  await tools.getByRole('button', { name: 'Whole run' }).click()
  await expect(zoomOf(page)).toHaveCount(0)

  // Twice on a bar: that bar, and little beside it.
  let middle = { x: 0, y: 0 }
  await expect(async () => {
    // The buttons above have changed, and with them perhaps where the lanes are.
    middle = await pointAt(page, 1, 0.5)
    await expect(tip(page)).toContainText('second', { timeout: 500 })
  }).toPass()
  await page.mouse.dblclick(middle.x, middle.y)
  const bar = await inView(page)
  expect(bar.from).toBeCloseTo(0.3, 1)
  expect(bar.to).toBeCloseTo(0.7, 1)
})

test('two fingers zoom, and one that moves on pans', async ({ page, server }) => {
  await page.setViewportSize({ width: 390, height: 844 })
  await open(page, server, await threeInARow(server))
  const { x, y, width } = await box(area(page))
  const touch = await page.context().newCDPSession(page)
  const send = (type: 'touchStart' | 'touchMove' | 'touchEnd', ...at: number[]) =>
    touch.send('Input.dispatchTouchEvent', {
      type,
      touchPoints: at.map((share, id) => ({ x: x + share * width, y: y + 30, id })),
    })
  await send('touchStart', 0.4)
  await send('touchStart', 0.4, 0.6)
  for (const spread of [0.15, 0.2, 0.25, 0.3]) await send('touchMove', 0.5 - spread, 0.5 + spread)
  await send('touchEnd')
  const zoomed = await inView(page)
  expect(zoomed.to - zoomed.from).toBeCloseTo(1 / 3, 1)
  expect((zoomed.from + zoomed.to) / 2).toBeCloseTo(0.5, 1)
  await send('touchStart', 0.7)
  for (const at of [0.6, 0.5, 0.3]) await send('touchMove', at)
  await send('touchEnd')
  expect((await inView(page)).from).toBeGreaterThan(zoomed.from + 0.08)
  expect(await page.evaluate(() => document.documentElement.scrollWidth - innerWidth)).toBeLessThanOrEqual(0)
})

test('idle stretches take little room in the timeline and the scrubber, are marked, and can be as long as they were', async ({
  page,
  server,
}) => {
  const id = await ran(
    server,
    { id: 'before', from: 8 * hour, to: 8 * hour - 20 * second },
    { id: 'after', from: 20 * second, to: 0 },
  )
  await open(page, server, id)
  await expect(page.locator('.scrubber-gap')).toHaveCount(1)
  await expect(area(page)).toHaveAccessibleDescription(/1 idle stretch drawn shorter/)
  await expectAt(page, 0, 0.25, 'before')
  await expectAt(page, 1, 0.75, 'after')
  const [gap, whole] = [await box(page.locator('.scrubber-gap')), await box(page.locator('.scrubber'))]
  expect(gap.width / whole.width).toBeLessThan(0.06)
  // A quarter of the scrubber is a few seconds, and not two hours.
  await page.mouse.move(whole.x + whole.width / 4, whole.y + whole.height / 2)
  await expect(page.locator('.scrubber-hint')).toHaveText(/^00:0\d|^00:1\d/)

  await option(page, 'Shorten idle stretches')
  await expect(page.locator('.scrubber-gap')).toHaveCount(0)
  await expectAt(page, 0, 0.25, undefined)
  await page.mouse.move(whole.x + whole.width / 4, whole.y + whole.height / 2)
  await expect(page.locator('.scrubber-hint')).toHaveText(/^1:59|^2:00/)
  // For good, in this browser.
  await page.reload()
  await expect(page.locator('.lane').first()).toBeVisible()
  await expect(page.locator('.scrubber-gap')).toHaveCount(0)
  await expectAt(page, 0, 0.25, undefined)
})

test('by event, what was short has as much room as what was long', async ({ page, server }) => {
  const id = await ran(
    server,
    { id: 'long', from: hour, to: 2 * second },
    { id: 'short', from: 2 * second, to: second },
    { id: 'failing', from: second, to: second - 50, failed: true },
  )
  await open(page, server, id)
  await expectAt(page, 0, 0.5, 'long')
  await expectAt(page, 1, 0.5, undefined)
  await option(page, 'By event')
  await expectAt(page, 0, 0.5, undefined)
  const words: string[] = []
  for (let share = 0.02; share < 1; share += 0.05) {
    for (const lane of [0, 1, 2]) {
      await pointAt(page, lane, share)
      const text = (await tip(page).count()) > 0 ? await tip(page).locator('b').innerText() : ''
      if (text !== '' && words.at(-1) !== text) words.push(text)
    }
  }
  expect(words).toEqual(['long', 'short', 'failing'])
  // A press on the scrubber goes to an event, and says which.
  const whole = await box(page.locator('.scrubber'))
  await page.mouse.move(whole.x + whole.width / 2, whole.y + whole.height / 2)
  const named = await page.locator('.scrubber-hint').innerText()
  expect(named).toMatch(/^#\d+ · /)
  await page.mouse.down()
  await page.mouse.up()
  await expect(page.getByRole('slider', { name: 'Position in the run' })).toHaveAttribute(
    'aria-valuenow',
    /\d+/.exec(named)?.[0] ?? '',
  )
})

const trace = (server: Server) =>
  ran(
    server,
    { id: 'agent', from: 60 * second, to: 0 },
    { id: 'plan', from: 58 * second, to: 40 * second, parent: 'agent' },
    { id: 'ask', from: 50 * second, to: 42 * second, parent: 'plan' },
    { id: 'search', from: 40 * second, to: 20 * second, parent: 'agent' },
    { id: 'other', from: 10 * second, to: 0 },
  )

const lanes = (page: Page) => page.locator('.lane .lane-name')

test('steps are a waterfall below what they are steps of, and fold', async ({ page, server }) => {
  const id = await trace(server)
  await open(page, server, id)
  await expect(lanes(page)).toHaveText(['agent', 'plan', 'ask', 'search', 'other'])
  const left = await lanes(page).evaluateAll((names) =>
    names.map((name) => Number.parseFloat(getComputedStyle(name).paddingLeft)),
  )
  expect(left.map((each) => Math.round(each - (left[0] ?? 0)))).toEqual([0, 12, 24, 12, 0])
  await expectAt(page, 2, 0.25, 'ask')

  await page.getByRole('button', { name: 'Steps of plan' }).click()
  await expect(lanes(page)).toHaveText(['agent', 'plan', 'search', 'other'])
  await expect(page.getByRole('button', { name: 'Steps of plan' })).toHaveAttribute('aria-expanded', 'false')
  await expect(page.locator('.lane-inside')).toHaveText('+1')
  await expectAt(page, 2, 0.5, 'search')
  await page.getByRole('button', { name: 'Options of the timeline' }).click()
  await page.getByRole('button', { name: 'Fold all steps' }).click()
  await page.keyboard.press('Escape')
  await expect(lanes(page)).toHaveText(['agent', 'other'])
  await expect(page.locator('.lane-inside')).toHaveText('+3')

  // What is chosen elsewhere is unfolded.
  await page.getByRole('button', { name: /^agent:/ }).click()
  await page.getByRole('tabpanel').getByRole('button', { name: 'plan' }).click()
  await expect(lanes(page)).toHaveText(['agent', 'plan', 'search', 'other'])
})

test('a bar is described, chosen with its moment, and reached by keys', async ({ page, server }) => {
  const id = await ran(
    server,
    { id: 'first', from: 90 * second, to: 60 * second },
    { id: 'second', from: 60 * second, to: 30 * second, failed: true },
    { id: 'second', from: 30 * second, to: 0 },
  )
  const usage: Command = { type: 'recordUsage', nodeId: 'second', inputTokens: 1200, outputTokens: 34, costUsd: 0 }
  await server.post(`/sessions/${id}/commands`, [usage])
  await open(page, server, id)
  const at = await pointAt(page, 1, 0.5)
  await expect(tip(page)).toContainText('second')
  await expect(tip(page)).toContainText('failed')
  await expect(tip(page)).toContainText('30.0 s')
  await expect(tip(page)).toContainText('1,234 tokens in all attempts')
  await pointAt(page, 1, 0.9)
  await expect(tip(page)).toContainText('completed, attempt 2')

  await page.mouse.click(at.x, at.y)
  await expect(page).toHaveURL(/node=second/)
  await expect(page).toHaveURL(/revision=/)
  await expect(page.locator('.lane.selected')).toContainText('second')
  await page.mouse.move(at.x, at.y - 300)
  await page.getByRole('button', { name: 'To the end' }).click()

  await area(page).focus()
  const said = page.locator('.gantt [role="status"]')
  await page.keyboard.press('ArrowRight')
  await expect(said).toContainText('first, completed, 30.0 s')
  await page.keyboard.press('ArrowDown')
  await expect(said).toContainText('second, failed')
  await page.keyboard.press('ArrowRight')
  await expect(said).toContainText('second, completed, attempt 2')
  // The arrows have not moved the replay.
  await expect(page).not.toHaveURL(/revision=/)
  await page.keyboard.press('Enter')
  await expect(page).toHaveURL(/revision=/)
  const revision = new URL(page.url()).searchParams.get('revision')
  await page.keyboard.press('ArrowLeft')
  await page.keyboard.press('Enter')
  await expect(page).not.toHaveURL(new RegExp(`revision=${revision}(&|$)`))
  await page.keyboard.press('Escape')
  await expect(tip(page)).toHaveCount(0)
  await expect(said).toBeEmpty()
})

test('while a run goes on, the moment stays in view of who looks closely at it', async ({ page, server }) => {
  const { id } = await server.post<WorkflowSession>('/sessions', {})
  const set = (nodeId: string, status: string) => ({ type: 'setNodeStatus', nodeId, status })
  await server.post(`/sessions/${id}/commands`, [{ type: 'start' }, set('work', 'running')])
  await open(page, server, id)
  for (let times = 0; times < 6; times += 1) await page.keyboard.press('+')
  const before = await inView(page)
  const now = () =>
    page.locator('.gantt-cursor').evaluate((cursor) => Number((cursor as HTMLElement).style.getPropertyValue('--at')))
  // It has passed what was in view, and is in view.
  await expect.poll(async () => (await inView(page)).from).toBeGreaterThan(before.from)
  for (let look = 0; look < 10; look += 1) {
    const at = await now()
    expect(at).toBeGreaterThanOrEqual(0)
    expect(at).toBeLessThanOrEqual(1.05)
  }
})

test.describe('on a screen with three points for each pixel', () => {
  test.use({ deviceScaleFactor: 3 })
  test('the timeline has as many points as the screen', async ({ page, server }) => {
    await open(page, server, await threeInARow(server))
    for (const canvas of await page.locator('.timeline canvas').all()) {
      const [points, pixels] = await canvas.evaluate((element) => [
        (element as HTMLCanvasElement).width,
        element.getBoundingClientRect().width,
      ])
      expect(points).toBe(Math.round((pixels ?? 0) * 3))
    }
    expect(await page.locator('.timeline canvas').count()).toBe(3)
  })
})

for (const colorScheme of ['light', 'dark'] as const) {
  for (const width of [1440, 390]) {
    test(`the timeline stands in nobody's way (${colorScheme}, ${width})`, async ({ page, server }) => {
      await page.emulateMedia({ colorScheme, reducedMotion: 'reduce' })
      await page.setViewportSize({ width, height: 900 })
      await open(page, server, await trace(server))
      await page.getByRole('button', { name: 'Steps of plan' }).click()
      await area(page).focus()
      await page.keyboard.press('ArrowDown')
      await expect(tip(page)).toBeVisible()
      expect(await violations(page)).toEqual([])
      await page.getByRole('button', { name: 'Options of the timeline' }).click()
      await expect(page.getByLabel('By event')).toBeVisible()
      expect(await violations(page)).toEqual([])
    })
  }
}
