import type { EventPage, SessionEntity, SessionPage, WorkflowSession } from '@relive/types'

import { violations } from './axe'
import { expect, test } from './fixtures'
import type { Server } from './server'

/** Works once the context has what its second node needs; each node counts how often it was run. */
const graph = {
  name: 'Two steps',
  startNodeId: 'first',
  nodes: {
    first: { id: 'first', type: 'sequence', name: 'First', nextIds: ['second'], properties: { output: { n: 1 } } },
    second: {
      id: 'second',
      type: 'sequence',
      name: 'Second',
      nextIds: [],
      properties: { output: { text: 'About {{ inputs.topic }}' } },
    },
  },
}

async function run(server: Server, more: object, status: string): Promise<string> {
  const { id } = await server.post<{ id: string }>('/sessions', { graph, driver: 'builtin', ...more })
  await server.post(`/sessions/${id}/control`, { action: 'start' })
  await expect.poll(async () => (await server.get<WorkflowSession>(`/sessions/${id}`)).status).toBe(status)
  return id
}

test('a failed run goes on from the node that failed, by one button', async ({ page, server }) => {
  const id = await run(server, { name: 'without a topic', inputs: {} }, 'failed')
  const { events } = await server.get<EventPage>(`/sessions/${id}/events?limit=200`)
  const failure = events.find(({ event }) => event.type === 'nodeStatusChanged' && event.status === 'failed')
  await page.goto(`${server.address}/sessions/${id}`)
  await page.getByRole('button', { name: 'Go on from the failed node' }).click()
  const before = (failure?.revision ?? 0) - 1
  await expect(page.getByRole('link', { name: `forked at revision ${before}` })).toBeVisible()
  // The engine has taken it up, and as nothing has changed, it fails there again; what was done is not done again.
  await expect(page.locator('.chip.failed')).toBeVisible()
  const fork = /sessions\/([0-9a-f-]{36})/.exec(page.url())?.[1] ?? ''
  expect(fork).not.toBe(id)
  const state = await server.get<WorkflowSession>(`/sessions/${fork}`)
  expect([state.nodes['first']?.status, state.nodes['first']?.attempt]).toEqual(['completed', 1])
  expect(state.nodes['second']?.status).toBe('failed')
})

/** `third` says what `second` put out, which took it from the context. */
const chained = {
  name: 'Chained',
  startNodeId: 'first',
  nodes: {
    first: {
      id: 'first',
      type: 'sequence',
      name: 'First',
      nextIds: ['second'],
      properties: { output: { text: 'one', list: [1, 2] }, assign: { context: { tone: 'dry' } } },
    },
    second: {
      id: 'second',
      type: 'sequence',
      name: 'Second',
      nextIds: ['third'],
      properties: { output: { said: '{{ nodes.first.output.text }}, {{ context.tone }}, {{ proposal }}' } },
    },
    third: {
      id: 'third',
      type: 'sequence',
      name: 'Third',
      nextIds: [],
      properties: { output: '{{ nodes.second.output.said }}!' },
    },
  },
}

const idOf = (url: string) => /sessions\/([0-9a-f-]{36})/.exec(url)?.[1] ?? ''
const outputsOf = async (server: Server, id: string) =>
  (await server.get<SessionEntity>(`/sessions/${id}/entity`)).outputs as { third?: string } | undefined

test('the output of a node, the context and the proposal are changed at a moment, and the run goes on from there', async ({
  page,
  server,
}) => {
  const id = await run(server, { name: 'chained', graph: chained, proposal: 'Less is more.' }, 'completed')
  expect((await outputsOf(server, id))?.third).toBe('one, dry, Less is more.!')
  await page.goto(`${server.address}/sessions/${id}?panel=node&node=first`)
  await page.getByRole('tabpanel').getByRole('button', { name: 'Edit and fork' }).click()
  const dialog = page.getByRole('dialog', { name: 'Edit, and fork from here' })
  // What has ended cannot be changed, and what had already run after the node does not run again.
  await expect(dialog.getByText('is the last before the end')).toBeVisible()
  await expect(dialog.getByText('2 nodes (Second, Third) had already run after it')).toBeVisible()
  await dialog.getByRole('button', { name: 'Fork where it had just ended instead' }).click()
  await expect(dialog.getByText('had already run after it')).toHaveCount(0)
  await expect(dialog.getByText('is the last before the end')).toHaveCount(0)
  const fork = dialog.getByRole('button', { name: 'Fork and start' })
  await expect(fork).toBeDisabled()

  const json = dialog.getByLabel('New value (JSON)')
  await json.fill('{\n  "text": "two",\n  "list": [1, 3],,\n}')
  await expect(dialog.getByText('This is not valid JSON: line 3.')).toBeVisible()
  await expect(fork).toBeDisabled()
  await json.fill('{"text": "two", "list": [1, 3]}')
  const changes = dialog.getByRole('region', { name: 'Changes' })
  await expect(changes.getByText('list[1]')).toBeVisible()
  await expect(changes.locator('.was')).toHaveText(['2', 'one'])
  await expect(changes.locator('.is')).toHaveText(['3', 'two'])

  await dialog.getByLabel('What to edit').selectOption('Proposal')
  await expect(dialog.getByLabel('New value')).toHaveValue('Less is more.')
  await dialog.getByLabel('New value').fill('More is more.')
  await dialog.getByLabel('What to edit').selectOption('A new context value…')
  await dialog.getByLabel('Key in the context').fill('extra')
  await json.fill('{"a": 1}')
  await dialog.getByLabel('What to edit').selectOption('tone')
  await dialog.getByLabel('New value').fill('warm')
  await expect(changes.getByRole('heading')).toHaveText('Changes 4')
  expect(await violations(page)).toEqual([])
  // What is given up is not made.
  await changes.getByRole('button', { name: 'Undo: Context: extra' }).click()
  await expect(changes.getByRole('heading')).toHaveText('Changes 3')
  await fork.click()

  await expect(page.getByRole('link', { name: /^forked at revision/ })).toBeVisible()
  const made = idOf(page.url())
  expect(made).not.toBe(id)
  await expect.poll(async () => (await outputsOf(server, made))?.third).toBe('two, warm, More is more.!')
  const { contextData } = await server.get<WorkflowSession>(`/sessions/${made}`)
  expect(contextData).not.toHaveProperty('extra')
  // The run itself stays as it was.
  expect((await outputsOf(server, id))?.third).toBe('one, dry, Less is more.!')
})

test.describe('when the changes are refused', () => {
  test.use({ tolerated: /status of 4\d\d|ERR_FAILED/ })

  test('a fork without them is not left in silence', async ({ page, server }) => {
    const id = await run(server, { name: 'refused', inputs: {} }, 'failed')
    await page.goto(`${server.address}/sessions/${id}?panel=run`)
    await page.getByRole('button', { name: 'Edit, and go on from there' }).click()
    const dialog = page.getByRole('dialog', { name: 'Edit, and fork from here' })
    await dialog.getByLabel('What to edit').selectOption('First')
    await dialog.getByLabel('New value (JSON)').fill('{"n": 2}')
    let refusals = 0
    await page.route('**/commands', async (route) => {
      refusals += 1
      const body = { code: 'too_large', detail: 'too much', retryable: false }
      await route.fulfill({ status: 413, contentType: 'application/problem+json', body: JSON.stringify(body) })
    })
    await dialog.getByRole('button', { name: 'Fork with these changes' }).click()
    await expect(dialog.getByRole('alert')).toContainText('The fork was made, but not changed.')
    await expect(dialog.getByRole('alert')).toContainText('too much (too_large)')
    const forks = async () => {
      const { sessions } = await server.get<SessionPage>('/sessions?name=refused')
      return sessions.filter((session) => session.id !== id).map((session) => session.id)
    }
    const [made] = await forks()
    // Closing it says what is left; trying again does not fork again.
    await page.unroute('**/commands')
    await dialog.getByRole('button', { name: 'Fork with these changes' }).click()
    await expect(page).toHaveURL(new RegExp(made ?? 'none'))
    expect(await forks()).toEqual([made])
    expect(refusals).toBe(1)
    const node = await server.get<{ output: unknown }>(`/sessions/${made}/nodes/first`)
    expect(node.output).toEqual({ n: 2 })

    await page.goto(`${server.address}/sessions/${id}?panel=run`)
    await page.route('**/commands', (route) => route.abort())
    await page.getByRole('button', { name: 'Edit, and go on from there' }).click()
    await dialog.getByLabel('What to edit').selectOption('First')
    await dialog.getByLabel('New value (JSON)').fill('{"n": 3}')
    await dialog.getByRole('button', { name: 'Fork and start' }).click()
    await expect(dialog.getByRole('alert')).toContainText('the server cannot be reached')
    await page.keyboard.press('Escape')
    await expect(page.getByRole('alert').filter({ hasText: 'The fork was made, but not changed.' })).toBeVisible()
    expect(await forks()).toHaveLength(2)
  })
})

test('a run is repeated with another input, and the two are compared', async ({ page, server }) => {
  const a = await run(server, { name: 'of oaks', inputs: { topic: 'oaks' }, tags: ['trees'] }, 'completed')
  await page.goto(`${server.address}/sessions/${a}?panel=run`)
  await page.getByRole('button', { name: 'Run again' }).click()
  const dialog = page.getByRole('dialog', { name: 'Run again' })
  await expect(dialog.getByLabel('Input: topic')).toHaveValue('oaks')
  await dialog.getByLabel('Input: topic').fill('elms')
  expect(await violations(page)).toEqual([])
  await dialog.getByRole('button', { name: 'Start' }).click()
  await expect(page).not.toHaveURL(new RegExp(a))
  await expect(page.locator('.chip.completed')).toBeVisible()
  const b = /sessions\/([0-9a-f-]{36})/.exec(page.url())?.[1] ?? ''
  const again = await server.get<WorkflowSession>(`/sessions/${b}`)
  expect([again.name, again.tags]).toEqual(['of oaks', ['trees']])

  await page.getByRole('tab', { name: 'Run', exact: true }).click()
  await expect(page.getByRole('tabpanel')).toContainText('About elms')
  await page.getByRole('link', { name: 'Compare with another run' }).click()
  await page.getByLabel('Filter sessions…').fill(a)
  await page.getByRole('button', { name: /of oaks/ }).click()
  await expect(page).toHaveURL(`${server.address}/?page=compare&a=${b}&b=${a}`)
  await expect(page.getByRole('heading', { name: '1 of 2 nodes differs' })).toBeVisible()
  const second = page.getByRole('row').filter({ has: page.getByRole('rowheader', { name: 'Second' }) })
  await expect(second).toContainText('output')
  await expect(page.locator('.node-card').filter({ hasText: 'Second' })).toContainText('output')
  await expect(page.locator('.node-card').filter({ hasText: 'First' })).toContainText('same')
  await second.getByRole('button', { name: 'Outputs: Second' }).click()
  await expect(page.getByRole('region', { name: 'Output A' })).toContainText('About elms')
  await expect(page.getByRole('region', { name: 'Output B' })).toContainText('About oaks')
  expect(await violations(page)).toEqual([])
  await page.getByRole('checkbox', { name: 'Only those that differ' }).check()
  await expect(page.getByRole('rowheader')).toHaveText([/Second/])
  await page.getByRole('button', { name: 'Swap A and B' }).click()
  await expect(page).toHaveURL(`${server.address}/?page=compare&a=${a}&b=${b}`)
  await second.getByRole('link', { name: 'completed, A: Second' }).click()
  await expect(page).toHaveURL(`${server.address}/sessions/${a}?panel=node&node=second`)
})

test('opening a run asks nothing that only repeating it needs', async ({ page, server }) => {
  const id = await run(server, { name: 'looked at', inputs: { topic: 'oaks' } }, 'completed')
  const asked: string[] = []
  page.on('request', (request) => asked.push(new URL(request.url()).pathname.replace(/.*\/api\/v1/, '')))
  await page.goto(`${server.address}/sessions/${id}?panel=run`)
  await expect(page.getByRole('tabpanel')).toContainText('About oaks')
  await expect(page.getByRole('button', { name: 'Run again' })).toBeVisible()
  expect(asked.filter((path) => path === `/sessions/${id}/events`).length).toBeLessThanOrEqual(1)
  expect(asked.filter((path) => path.startsWith('/workflows/'))).toEqual([])
})
