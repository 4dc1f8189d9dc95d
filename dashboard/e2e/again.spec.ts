import type { EventPage, WorkflowSession } from '@relive/types'

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
