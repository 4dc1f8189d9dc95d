// What engines report beyond a graph: steps within nodes, log lines, instances, families, edges with labels, nodes that
// are added while a run goes on.

import type { Page } from '@playwright/test'
import type { Command, GraphDefinition, WorkflowSession } from '@relive/types'

import { expect, test } from './fixtures'
import type { Server } from './server'

const command = (server: Server, id: string, ...commands: Command[]) =>
  server.post(`/sessions/${id}/commands`, commands)

async function begun(server: Server, session: object = {}): Promise<string> {
  const { id } = await server.post<WorkflowSession>('/sessions', session)
  await command(server, id, { type: 'start' })
  return id
}

const logs = (page: Page) => page.getByRole('log', { name: 'Logs' })
const panel = (page: Page) => page.getByRole('tabpanel')
const fact = (page: Page, name: string) => panel(page).locator('dl.facts div', { hasText: name }).locator('dd')

test('log lines are filtered by level, by words and by node', async ({ page, server }) => {
  const id = await begun(server)
  await command(
    server,
    id,
    { type: 'setNodeStatus', nodeId: 'fetch', status: 'running', name: 'Fetch' },
    { type: 'setNodeStatus', nodeId: 'store', status: 'running', name: 'Store' },
    { type: 'addLog', nodeId: 'fetch', level: 'debug', text: 'opening the socket' },
    { type: 'addLog', nodeId: 'fetch', level: 'info', text: 'read 3 pages', attributes: { pages: 3 } },
    { type: 'addLog', nodeId: 'store', level: 'warn', text: 'the disk is nearly full' },
    { type: 'addLog', nodeId: 'store', level: 'error', text: '<img src=x onerror=alert(1)>' },
  )
  await page.goto(`${server.address}/sessions/${id}?panel=logs`)
  const lines = logs(page).locator('.log-line')
  await expect(lines).toHaveCount(4)
  await expect(lines.nth(1)).toContainText('read 3 pages')
  await expect(lines.nth(1)).toContainText('pages: 3')
  await expect(lines.nth(3)).toContainText('<img src=x')

  await page.getByLabel('Level').selectOption('warn and above')
  await expect(lines).toHaveCount(2)
  await page.getByLabel('Level').selectOption('All levels')
  await page.getByLabel('Find in the lines…').fill('disk')
  await expect(lines).toHaveText([/nearly full/])
  await page.getByLabel('Find in the lines…').fill('')
  await expect(lines).toHaveCount(4)

  // A line leads to its node, and back to the lines of that one alone.
  await lines.nth(0).getByRole('button', { name: 'Fetch' }).click()
  await expect(panel(page).getByRole('heading', { name: 'Fetch' })).toBeVisible()
  await page.getByRole('tab', { name: 'Logs' }).click()
  await page.getByRole('button', { name: 'Only Fetch' }).click()
  await expect(lines).toHaveCount(2)
})

test('new log lines are shown while the run goes on, also when it never rests', async ({ page, server }) => {
  const id = await begun(server)
  await command(server, id, { type: 'setNodeStatus', nodeId: 'fetch', status: 'running' })
  const many = Array.from({ length: 300 }, (_, n) => ({
    type: 'addLog' as const,
    nodeId: 'fetch',
    level: 'info' as const,
    text: `line ${n}`,
  }))
  await command(server, id, ...many)
  await page.goto(`${server.address}/sessions/${id}?panel=logs`)
  await expect(logs(page).getByText('line 299', { exact: true })).toBeInViewport()

  let isDone = false
  let ticks = 0
  const busy = (async () => {
    for (; !isDone; ticks += 1) {
      await command(server, id, { type: 'setContext', key: 'tick', value: ticks })
      await page.evaluate(() => new Promise(requestAnimationFrame))
    }
  })()
  await command(server, id, { type: 'addLog', nodeId: 'fetch', level: 'error', text: 'while it is busy' })
  await expect(logs(page).getByText('while it is busy')).toBeInViewport({ timeout: 5_000 })

  // What is being read stays where it is.
  await logs(page).evaluate((element) => element.scrollTo({ top: 0 }))
  await expect(logs(page).getByText('line 0', { exact: true })).toBeInViewport()
  const count = () => logs(page).evaluate((element) => element.scrollHeight)
  const before = await count()
  await command(server, id, { type: 'addLog', nodeId: 'fetch', level: 'info', text: 'the last one' })
  await expect.poll(count, { timeout: 5_000 }).toBeGreaterThan(before)
  isDone = true
  await busy
  await expect(logs(page).getByText('line 0', { exact: true })).toBeInViewport()
  await logs(page).evaluate((element) => element.scrollTo({ top: element.scrollHeight }))
  await expect(logs(page).getByText('the last one')).toBeInViewport()
})

test('a step within a node shows its kind, its attributes, its input and what it calls', async ({ page, server }) => {
  const id = await begun(server)
  await command(
    server,
    id,
    { type: 'setNodeStatus', nodeId: 'agent', status: 'running', name: 'Planner', kind: 'agent' },
    {
      type: 'setNodeStatus',
      nodeId: 'agent/ask',
      status: 'running',
      name: 'Ask the model',
      parentNodeId: 'agent',
      kind: 'llm',
      input: { prompt: 'Which bees?' },
      attributes: { model: 'small', temperature: 0.5 },
    },
    {
      type: 'addMessage',
      nodeId: 'agent/ask',
      content: '',
      toolCalls: [{ id: 'call-1', name: 'search_bees', arguments: { genus: 'Osmia' } }],
    },
    { type: 'addMessage', nodeId: 'agent/ask', role: 'tool', toolCallId: 'call-1', content: 'Mason bees.' },
  )
  await page.goto(`${server.address}/sessions/${id}?node=agent&panel=node`)
  await expect(fact(page, 'Kind')).toHaveText('agent')
  await panel(page).getByRole('button', { name: 'Ask the model' }).click()
  await expect(panel(page).getByRole('heading', { name: 'Ask the model' })).toBeVisible()
  await expect(fact(page, 'Kind')).toHaveText('llm')
  await expect(panel(page)).toContainText('Which bees?')
  await expect(panel(page)).toContainText('temperature')

  // It comes to an end while somebody looks; what it adds is merged.
  await command(server, id, {
    type: 'setNodeStatus',
    nodeId: 'agent/ask',
    status: 'completed',
    attributes: { tokens: 12, temperature: null },
    output: { bee: 'Osmia' },
  })
  await expect(panel(page).locator('.node-title .chip')).toHaveText('completed')
  await expect(panel(page)).toContainText('tokens')
  await expect(panel(page)).not.toContainText('temperature')
  await expect(panel(page)).toContainText('Osmia')
  await panel(page).getByRole('button', { name: 'Planner' }).click()
  await expect(panel(page).getByRole('heading', { name: 'Planner' })).toBeVisible()

  // In the timeline it is set in below the node that it is a step of.
  const timeline = page.getByRole('region', { name: 'Timeline' }).last()
  const left = (name: RegExp) =>
    timeline
      .getByRole('button', { name })
      .evaluate((element) => Number.parseFloat(getComputedStyle(element).paddingLeft))
  expect(await left(/^Ask the model/)).toBeGreaterThan(await left(/^Planner/))

  await page.getByRole('tab', { name: 'Messages' }).click()
  const call = page.locator('details.tool-call')
  await expect(call.locator('summary')).toContainText('search_bees')
  await expect(call.getByText('Osmia')).toBeHidden()
  await call.locator('summary').click()
  await expect(call.getByText('Osmia')).toBeVisible()
  await expect(page.getByRole('log')).toContainText('Mason bees.')
})

const mapped: GraphDefinition = {
  name: 'Map',
  startNodeId: 'split',
  nodes: {
    split: { id: 'split', type: 'x', name: 'Split', nextIds: ['score'] },
    score: { id: 'score', type: 'x', name: 'Score', nextIds: ['join'] },
    join: { id: 'join', type: 'x', name: 'Join' },
  },
}

test('instances of a node are rows of their own, in the list of its node and in the timeline', async ({
  page,
  server,
}) => {
  const id = await begun(server, { graph: mapped })
  await command(
    server,
    id,
    { type: 'setNodeStatus', nodeId: 'split', status: 'completed' },
    { type: 'setNodeStatus', nodeId: 'score', status: 'running' },
    { type: 'setNodeStatus', nodeId: 'score#2', status: 'running' },
    { type: 'setNodeStatus', nodeId: 'score#10', status: 'running' },
  )
  await page.goto(`${server.address}/sessions/${id}?node=score&panel=node`)
  const listed = panel(page).getByRole('button', { name: /Score #/ })
  await expect(listed).toHaveText([/#2/, /#10/])
  const timeline = page.getByRole('region', { name: 'Timeline' }).last()
  const lanes = timeline.getByRole('button', { name: /^Score/ })
  await expect(lanes).toHaveText(['Score', 'Score #2', 'Score #10'])

  // One more begins, and one fails, while somebody looks.
  await command(
    server,
    id,
    { type: 'setNodeStatus', nodeId: 'score#3', status: 'running' },
    { type: 'setNodeStatus', nodeId: 'score#2', status: 'failed', error: 'no number' },
  )
  await expect(listed).toHaveText([/#2/, /#3/, /#10/])
  await listed.first().click()
  await expect(panel(page).getByRole('heading', { name: 'Score #2' })).toBeVisible()
  await expect(panel(page)).toContainText('no number')
  await panel(page).getByRole('button', { name: 'Score', exact: true }).click()
  await expect(panel(page).getByRole('heading', { name: 'Score', exact: true })).toBeVisible()
  // The graph has one card for all of them.
  await expect(page.locator('.node-card')).toHaveCount(3)
})

test('a family of runs: a parent leads to its children, and each of them back', async ({ page, server }) => {
  const parent = await begun(server, { name: 'Nightly parent' })
  await page.goto(server.address)
  const row = page.getByRole('row').filter({ hasText: parent.slice(-6) })
  await expect(row.getByRole('link', { name: 'Nightly parent' })).toBeVisible()
  await expect(row.getByRole('link', { name: /child/ })).toHaveCount(0)
  const children = []
  for (const name of ['First child', 'Second child'])
    children.push(await begun(server, { name, parentSessionId: parent }))
  await row.getByRole('link', { name: '2 children' }).click()
  await expect(page.getByRole('row').filter({ has: page.getByRole('link') })).toHaveCount(2)
  await page.getByRole('link', { name: 'Second child' }).click()
  await expect(page).toHaveURL(new RegExp(`/sessions/${children[1]}`))
  await expect(page.getByRole('heading', { name: 'Second child' })).toBeVisible()
  await page.getByRole('link', { name: 'started by another session' }).click()
  await expect(page).toHaveURL(new RegExp(`/sessions/${parent}`))
})

test('edges have labels, and nodes that are added while the run goes on are drawn', async ({ page, server }) => {
  const graph = {
    name: 'Plan',
    startNodeId: 'plan',
    nodes: {
      plan: { id: 'plan', type: 'x', name: 'Plan', nextIds: [{ to: 'good', label: 'approved' }, 'bad'] },
      good: { id: 'good', type: 'x', name: 'Good' },
      bad: { id: 'bad', type: 'x', name: 'Bad' },
    },
  }
  const id = await begun(server, { graph })
  await page.goto(`${server.address}/sessions/${id}`)
  const cards = page.locator('.node-card')
  await expect(cards).toHaveCount(3)
  const labels = page.locator('.edge-label')
  await expect(labels).toHaveText(['approved'])
  await command(
    server,
    id,
    { type: 'setNodeStatus', nodeId: 'plan', status: 'completed' },
    {
      type: 'addNodes',
      nodes: { extra: { id: 'extra', type: 'x', name: 'Extra' } },
      edges: [{ from: 'good', to: 'extra', label: 'planned' }],
    },
    { type: 'setNodeStatus', nodeId: 'extra', status: 'running' },
  )
  await expect(cards).toHaveCount(4)
  await expect(page.getByRole('button', { name: /^Extra, running/ })).toBeVisible()
  await expect(labels.filter({ hasText: 'planned' })).toHaveCount(1)
  await expect(labels).toHaveCount(2)
  // They are there for whoever comes later too.
  await page.reload()
  await expect(cards).toHaveCount(4)
  await expect(labels.filter({ hasText: 'planned' })).toHaveCount(1)
  await expect(labels).toHaveCount(2)
})
