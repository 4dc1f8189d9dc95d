import type { Page } from '@playwright/test'

import { violations } from './axe'
import { expect, test } from './fixtures'

const node = (id: string, type: string, name: string, ...nextIds: string[]) =>
  [id, { id, type, name, nextIds }] as const

/** A loop around a fork, and an exit. */
const looped = {
  name: 'Looped',
  startNodeId: 'start',
  nodes: Object.fromEntries([
    node('start', 'start', 'Begin', 'draft'),
    node('draft', 'task', 'Draft a rather long answer to the question', 'pro', 'contra', 'third'),
    node('pro', 'task', 'Pro', 'join'),
    node('contra', 'task', 'Contra', 'join'),
    node('third', 'task', 'Third opinion', 'join'),
    node('join', 'task', 'Weigh', 'again'),
    node('again', 'loop', 'Good enough?', 'draft', 'end'),
    node('end', 'end', 'Done'),
  ]),
}

const card = (page: Page, name: string) => page.locator('.node-card').filter({ hasText: name })
const middle = async (page: Page, name: string) => {
  const box = await card(page, name).boundingBox()
  return box === null ? Number.NaN : Math.round(box.y + box.height / 2)
}

test('the way through a loop is one line, with its edges named, and branches in the order of their definition', async ({
  page,
  server,
}) => {
  const { id } = await server.post<{ id: string }>('/sessions', { graph: looped, name: 'looped' })
  await page.setViewportSize({ width: 2200, height: 900 })
  await page.goto(`${server.address}/sessions/${id}`)
  await expect(page.locator('.edge-label')).toHaveText(['again', 'exit'])
  const line = await middle(page, 'Begin')
  for (const name of ['Draft a rather', 'Weigh', 'Good enough?', 'Done']) expect(await middle(page, name)).toBe(line)
  const branches = [await middle(page, 'Pro'), await middle(page, 'Contra'), await middle(page, 'Third opinion')]
  expect(branches).toEqual([...branches].sort((a, b) => a - b))
  // A long name has two lines, and its card is no higher for it.
  const [long, short] = [card(page, 'Draft a rather').locator('.node-name'), card(page, 'Weigh').locator('.node-name')]
  const lines = async (name: typeof long) => (await name.boundingBox())?.height ?? 0
  expect(await lines(long)).toBeGreaterThan(1.6 * (await lines(short)))
  const inside = await card(page, 'Draft a rather').evaluate(
    (element) => element.scrollHeight <= element.clientHeight + 1,
  )
  expect(inside).toBe(true)

  // Folded, a part has the name of what it belongs to, and the number of its nodes.
  await page.getByRole('button', { name: 'Fold', exact: true }).click()
  await expect(card(page, 'Loop: Good enough?')).toContainText('+5')
  await expect(page.locator('.edge-label')).toHaveText(['again', 'exit'])
  await page.getByRole('button', { name: /^EN|^中文/ }).click()
  await expect(page.locator('.edge-label')).toHaveText(['再次', '退出'])
})

test('what a node has inside and the runs that it has started are opened in place', async ({ page, server }) => {
  const { id } = await server.post<{ id: string }>('/sessions', { graph: looped, name: 'a parent' })
  const command = (nodeId: string, more: object = {}) => ({ type: 'setNodeStatus', nodeId, status: 'running', ...more })
  await server.post(`/sessions/${id}/commands`, [
    { type: 'start' },
    command('start', { status: 'completed' }),
    command('draft'),
    command('search', { name: 'Search', parentNodeId: 'draft', kind: 'tool' }),
    command('read', { name: 'Read', parentNodeId: 'search', kind: 'tool' }),
  ])
  const child = { parentSessionId: id, parentNodeId: 'draft', name: 'A run of its own' }
  const started = await server.post<{ id: string }>('/sessions', child)
  await page.goto(`${server.address}/sessions/${id}`)
  await expect(card(page, 'Search')).toHaveCount(0)
  await page.getByRole('button', { name: /^3 steps inside of Draft/ }).click()
  await expect(card(page, 'Search')).toBeVisible()
  await expect(card(page, 'Read')).toBeVisible()
  await expect(card(page, 'A run of its own')).toContainText('pending')
  expect(await violations(page)).toEqual([])

  // Each lies within the frame, and on no other card.
  const boxes = await page.locator('.node-card').evaluateAll((cards) =>
    cards.map((element) => {
      const { left, top, right, bottom } = element.getBoundingClientRect()
      return { left, top, right, bottom }
    }),
  )
  expect(boxes).toHaveLength(11)
  boxes.forEach((a, at) =>
    boxes.slice(at + 1).forEach((b) => {
      expect(a.left < b.right && b.left < a.right && a.top < b.bottom && b.top < a.bottom).toBe(false)
    }),
  )

  // Both go on live, a step is a node to be looked at, and a run has a page of its own.
  await server.post(`/sessions/${id}/commands`, command('read', { status: 'completed' }))
  await expect(page.locator('.node-card.completed').filter({ hasText: 'Read' })).toBeVisible()
  await server.post(`/sessions/${started.id}/control`, { action: 'start' })
  await expect(card(page, 'A run of its own')).toContainText('running')
  await card(page, 'Search').click()
  await expect(page.getByRole('tabpanel').getByRole('heading', { name: 'Search' })).toBeVisible()
  await page.getByRole('button', { name: /^3 steps inside of Draft/ }).click()
  await expect(card(page, 'Search')).toHaveCount(0)
  await page.getByRole('button', { name: /^3 steps inside of Draft/ }).click()
  await page.getByRole('link', { name: /^A run of its own/ }).click()
  await expect(page).toHaveURL(new RegExp(started.id))
})

test('a wide fan is as large as it can be, and a map shows where one is in it', async ({ page, server }) => {
  const jobs = Array.from({ length: 60 }, (_, index) => `job${index}`)
  const fan = {
    name: 'Fan',
    startNodeId: 'fork',
    nodes: Object.fromEntries([
      node('fork', 'parallel', 'Fork', ...jobs),
      ...jobs.map((id, index) => node(id, 'task', `Job ${index}`, 'join')),
      node('join', 'task', 'Join'),
    ]),
  }
  const { id } = await server.post<{ id: string }>('/sessions', { graph: fan, name: 'fan' })
  await page.goto(`${server.address}/sessions/${id}`)
  await expect(card(page, 'Job 59')).toBeVisible()
  const box = await card(page, 'Job 59').boundingBox()
  // As one line of sixty they would be an eighth of this.
  expect(box?.width).toBeGreaterThan(60)
  const map = page.locator('.minimap')
  await expect(map).toHaveCount(0)
  for (let step = 0; step < 4; step += 1) await page.getByRole('button', { name: 'Larger' }).click()
  await expect(map).toBeVisible()
  await expect(card(page, 'Job 59')).toBeHidden()
  const corner = await map.boundingBox()
  if (corner === null) throw new Error('no map')
  await page.mouse.click(corner.x + corner.width - 34, corner.y + corner.height - 18)
  await expect(card(page, 'Job 59')).toBeVisible()
  await page.getByRole('button', { name: 'Show all' }).click()
  await expect(map).toHaveCount(0)
})

for (const width of [390, 1024, 2560]) {
  test(`the graph uses the room that there is at ${width} pixels`, async ({ page, server }) => {
    await page.setViewportSize({ width, height: width < 600 ? 844 : 1300 })
    const { id } = await server.post<{ id: string }>('/sessions', { graph: looped, name: 'room' })
    await page.goto(`${server.address}/sessions/${id}`)
    await expect(card(page, 'Done')).toBeVisible()
    const used = await page.locator('.stage').evaluate((stage) => {
      const room = stage.getBoundingClientRect()
      const boxes = [...stage.querySelectorAll('.node-card')].map((each) => each.getBoundingClientRect())
      const width = Math.max(...boxes.map(({ right }) => right)) - Math.min(...boxes.map(({ left }) => left))
      const height = Math.max(...boxes.map(({ bottom }) => bottom)) - Math.min(...boxes.map(({ top }) => top))
      return { share: Math.max(width / room.width, height / room.height), card: boxes[0]?.width ?? 0 }
    })
    // Either it fills the stage in one direction, or it is as large as is of use.
    expect(used.share > 0.7 || used.card >= 168 * 1.3).toBe(true)
  })
}

test('the whole graph stays in view when the window is another, unless it was moved', async ({ page, server }) => {
  const nodes = Object.fromEntries(
    Array.from({ length: 6 }, (_, n) => [
      `n${n}`,
      { id: `n${n}`, type: 'command', name: `Node ${n}`, nextIds: n < 5 ? [`n${n + 1}`] : [] },
    ]),
  )
  const { id } = await server.post<{ id: string }>('/sessions', { graph: { name: 'Row', startNodeId: 'n0', nodes } })
  await page.goto(`${server.address}/sessions/${id}`)
  const node = (n: number) => page.getByRole('button', { name: new RegExp(`^Node ${n}, `) })
  await expect(node(5)).toBeInViewport({ ratio: 0.9 })
  await page.setViewportSize({ width: 390, height: 844 })
  for (const n of [0, 5]) await expect(node(n)).toBeInViewport({ ratio: 0.9 })
  await page.setViewportSize({ width: 1440, height: 900 })
  for (const n of [0, 5]) await expect(node(n)).toBeInViewport({ ratio: 0.9 })
  await page.getByRole('button', { name: 'Larger' }).click()
  const place = () => page.locator('.react-flow__viewport').getAttribute('style')
  const moved = await place()
  await page.setViewportSize({ width: 1400, height: 880 })
  await expect(page.locator('.stage')).toHaveCount(1)
  expect(await place()).toBe(moved)
})
