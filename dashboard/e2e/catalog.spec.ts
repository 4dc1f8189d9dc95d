import type { Agent, Workflow } from '@relive/types'

import { violations } from './axe'
import { test as base, expect } from './fixtures'
import { Server } from './server'

/** A server of its own, for catalogs of its own. */
const test = base.extend<object, { server: Server }>({
  server: [
    async ({}, use) => {
      const server = await Server.start()
      await use(server)
      await server.close()
    },
    { scope: 'worker', timeout: 60_000 },
  ],
})

/** The browser itself remarks on a refusal. */
test.use({ tolerated: /status of (409|422)/ })

const graph = {
  name: 'Greeting',
  startNodeId: 'wait',
  nodes: {
    wait: { id: 'wait', type: 'delay', name: 'Wait a little', nextIds: ['say'], properties: { seconds: 0 } },
    say: {
      id: 'say',
      type: 'sequence',
      name: 'Say it',
      nextIds: [],
      properties: { output: 'Hello, {{ inputs.who }}' },
    },
  },
}

test('a workflow is drawn as it is edited, checked by the server, and run with a field for each input', async ({
  page,
  server,
}) => {
  await page.goto(`${server.address}/?page=workflows`)
  await page.getByRole('button', { name: 'New workflow' }).click()
  await page.getByLabel('Name', { exact: true }).fill('Greetings')
  const text = page.getByLabel('Graph (JSON)')
  await expect(page.locator('.node-card')).toHaveText([/Greet/])
  await text.fill(JSON.stringify(graph, undefined, 2))
  await expect(page.locator('.node-card')).toHaveCount(2)

  // What is no graph is said while it is written, and what was drawn stays.
  await text.fill('{\n"nodes": {,')
  await expect(page.getByText('This is not valid JSON: line 2.')).toBeVisible()
  await expect(page.getByRole('button', { name: 'Save' })).toBeDisabled()
  await text.fill(JSON.stringify({ ...graph, startNodeId: 'nowhere' }))
  await expect(page.getByText('There is no node “nowhere” to start with.')).toBeVisible()
  await expect(page.locator('.node-card')).toHaveCount(2)

  // What the built-in engine would refuse is said at its line while it is written, and drawn at its node.
  const { wait, say } = graph.nodes
  const builtin = { ...graph, properties: { driver: 'builtin' } }
  const misspelt = { ...wait, properties: { secondz: 0 } }
  await text.fill(JSON.stringify({ ...builtin, nodes: { wait: misspelt, say } }, undefined, 2))
  const status = page.getByRole('status').filter({ hasText: 'secondz' })
  await expect(status).toContainText('There is no property “secondz” here; did you mean “seconds”?')
  await expect(page.locator('.node-card.failed')).toHaveText([/Wait a little/])
  await status.getByRole('button', { name: 'Line 13' }).first().click()
  await expect(text).toBeFocused()
  const selected = await text.evaluate((area: HTMLTextAreaElement) =>
    area.value.slice(area.selectionStart, area.selectionEnd),
  )
  expect(selected).toContain('"secondz": 0')
  const cycle = { ...say, nextIds: ['wait'] }
  await text.fill(JSON.stringify({ ...builtin, nodes: { wait, say: cycle, lost: { ...say, id: 'lost' } } }))
  await expect(page.getByText('Line 1 No way leads from the start to “lost”.')).toBeVisible()
  await expect(
    page.getByText('Line 1 “wait” is on a cycle that passes through no node of the type “loop”.'),
  ).toBeVisible()

  // What only the server knows, it says while it is written too, at the same place, and when it is to be stored.
  const template = { ...say, properties: { output: '{{ inputs.who' } }
  await text.fill(JSON.stringify({ ...builtin, nodes: { wait, say: template } }, undefined, 2))
  await expect(page.getByRole('button', { name: 'Line 22' })).toBeVisible()
  await expect(page.locator('.node-card.failed')).toHaveText([/Say it/])
  await expect(page.getByRole('status').filter({ hasText: "node 'say': the property output" })).toBeVisible()
  await page.getByRole('button', { name: 'Save' }).click()
  await expect(page.getByRole('alert').filter({ hasText: "node 'say': the property output" })).toBeVisible()
  await expect(page.getByRole('button', { name: 'Line 22' })).toHaveCount(1)
  await text.fill(JSON.stringify(graph))
  expect(await violations(page)).toEqual([])
  await page.getByRole('button', { name: 'Save' }).click()
  await expect(page.getByRole('heading', { name: 'Greetings' })).toBeVisible()
  const { workflows } = await server.get<{ workflows: Workflow[] }>('/workflows')
  expect(workflows.map(({ name }) => name)).toEqual(['Greetings'])

  await page.getByRole('button', { name: 'Run', exact: true }).click()
  await page.getByLabel('Input: who').fill('Ada')
  await page.getByRole('button', { name: 'Start', exact: true }).click()
  await expect(page).toHaveURL(/\/sessions\//)
  await page.getByRole('tab', { name: 'Run' }).click()
  await expect(page.getByRole('tabpanel')).toContainText('Hello, Ada')

  await page.goto(`${server.address}/?page=workflows`)
  await page.getByRole('button', { name: 'Delete Greetings' }).click()
  await page.getByRole('dialog').getByRole('button', { name: 'Delete' }).click()
  // There is a run of it, so it stays, and the page says why.
  await expect(page.getByRole('alert').filter({ hasText: 'Delete was refused' })).toBeVisible()
  const run = await server.get<{ sessions: { id: string }[] }>('/sessions')
  for (const { id } of run.sessions) await fetch(`${server.address}/api/v1/sessions/${id}`, { method: 'DELETE' })
  await page.getByRole('button', { name: 'Delete Greetings' }).click()
  await page.getByRole('dialog').getByRole('button', { name: 'Delete' }).click()
  await expect(page.getByText('No workflows yet.')).toBeVisible()
})

test('agents and groups are created, changed and deleted', async ({ page, server }) => {
  await page.goto(`${server.address}/?page=agents`)
  await expect(page.getByText('No agents yet.')).toBeVisible()
  await page.getByRole('button', { name: 'New agent' }).click()
  await page.getByLabel('Name').fill('Ada')
  await page.getByLabel('Persona prompt').fill('You weigh the arguments.')
  await page.getByLabel('Model').fill('gpt-4o-mini')
  await page.getByLabel('Temperature').fill('0.2')
  await page.getByRole('button', { name: 'Create' }).click()
  const card = page.getByRole('listitem').filter({ hasText: 'Ada' })
  await expect(card).toContainText('You weigh the arguments.')
  await expect(card).toContainText('gpt-4o-mini · 0.2')
  await page.getByRole('button', { name: 'Edit Ada' }).click()
  await page.getByLabel('Description').fill('Adjudicator')
  await page.getByRole('button', { name: 'Save' }).click()
  await expect(card).toContainText('Adjudicator')
  await expect(card).toContainText('gpt-4o-mini · 0.2')

  await page.getByRole('link', { name: 'Groups' }).click()
  await page.getByRole('button', { name: 'New group' }).click()
  await page.getByLabel('Name').fill('Research')
  await page.getByLabel('System prompt').fill('Be brief.')
  await page.getByRole('checkbox', { name: 'Ada' }).check()
  await page.getByRole('button', { name: 'Create' }).click()
  const row = page.getByRole('row').filter({ hasText: 'Research' })
  await expect(row).toContainText('Ada')
  await row.getByRole('button', { name: 'Delete Research' }).click()
  await page.getByRole('dialog').getByRole('button', { name: 'Delete' }).click()
  await expect(page.getByText('No groups yet.')).toBeVisible()
})

test('memories are found with their score, and listed by session', async ({ page, server }) => {
  const { id } = await server.post<{ id: string }>('/sessions', { name: 'of trees' })
  const post = (content: string, more: object = {}) => server.post('/memories', { content, ...more })
  await post('Oaks grow slowly and live for centuries.')
  await post('Elms were hit by a disease.', { sessionId: id })
  await page.goto(`${server.address}/?page=memories`)
  const list = page.getByRole('list', { name: 'Memories' }).getByRole('listitem')
  // What is there, before anything is asked.
  await expect(list).toHaveText([/Elms were hit/, /Oaks grow slowly/])
  await expect(page.getByText('2 memories, the newest first')).toBeVisible()
  await page.getByLabel('Find by meaning…').fill('oaks')
  await page.keyboard.press('Enter')
  await expect(page).toHaveURL(/text=oaks/)
  await expect(page.getByText('1 found by words, the nearest first')).toBeVisible()
  await expect(list).toHaveText([/score \d\.\d{3}.*Oaks grow slowly/])

  await page.getByLabel('Find by meaning…').fill('')
  await page.getByLabel('Session id').fill(id)
  await page.getByRole('button', { name: 'Search' }).click()
  await expect(list).toHaveText([/Elms were hit/])
  await page.getByRole('button', { name: /^Delete Elms/ }).click()
  await page.getByRole('dialog').getByRole('button', { name: 'Delete' }).click()
  await expect(page.getByText('No memories.')).toBeVisible()
})

test('the memories of a session are read by pages, and of an agent alone; what is found can be asked for a score', async ({
  page,
  server,
}) => {
  const agent = await server.post<Agent>('/agents', { name: 'Grace', personaPrompt: 'You remember.' })
  const { id } = await server.post<{ id: string }>('/sessions', { name: 'remembers' })
  await server.post(`/sessions/${id}/commands`, [
    { type: 'start' },
    ...Array.from({ length: 230 }, (_, index) => ({
      type: 'addMemory',
      content: `Birch number ${index}.`,
      ...(index % 100 === 99 && { agentId: agent.id }),
    })),
  ])
  await page.goto(`${server.address}/?page=memories&session=${id}`)
  const list = page.getByRole('list', { name: 'Memories' }).getByRole('listitem')
  await expect(page.getByText('200 and more memories, the oldest first')).toBeVisible()
  await expect(list).toHaveCount(200)
  await page.getByRole('button', { name: 'Later ones' }).click()
  await expect(page.getByText('230 memories, the oldest first')).toBeVisible()
  await expect(list.last()).toContainText('Birch number 229.')
  await expect(page.getByRole('button', { name: 'Later ones' })).toHaveCount(0)

  await page.getByLabel('Agent').fill(agent.id)
  await page.getByRole('button', { name: 'Search' }).click()
  await expect(list).toHaveText([/Birch number 99\..*Grace/, /Birch number 199\..*Grace/])
  expect(await violations(page)).toEqual([])

  await page.getByLabel('Agent').fill('')
  await page.getByLabel('Find by meaning…').fill('birch')
  await page.getByRole('button', { name: 'Search' }).click()
  await expect(list).toHaveCount(100)
  await expect(page.getByText('No more than 100 are found at once')).toBeVisible()
  await page.getByLabel('Least score').selectOption('Score from 0.9')
  await expect(page.getByText(/^0 found/)).toBeVisible()
  await expect(list).toHaveCount(0)
})
