import { violations } from './axe'
import { test as base, expect } from './fixtures'
import { Server } from './server'

/** A server of its own, since the figures are of all runs. */
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

const graph = { name: 'Ledger', startNodeId: 'a', nodes: { a: { id: 'a', type: 'tool', name: 'Fetch', nextIds: [] } } }

async function run(server: Server, end: object, more: object = {}): Promise<string> {
  const { id } = await server.post<{ id: string }>('/sessions', more)
  await server.post(`/sessions/${id}/commands`, [
    { type: 'start' },
    { type: 'setNodeStatus', nodeId: 'a', status: 'running' },
    { type: 'recordUsage', nodeId: 'a', model: 'gpt-4o-mini', inputTokens: 1000, outputTokens: 200 },
    { type: 'setNodeStatus', nodeId: 'a', status: 'completed' },
    end,
  ])
  return id
}

test('every figure of the overview leads to the runs behind it', async ({ page, server }) => {
  const workflow = await server.post<{ id: string }>('/workflows', { name: 'Nightly ledger', graph })
  const of = { workflowId: workflow.id, tags: ['nightly'] }
  for (let index = 0; index < 3; index += 1) await run(server, { type: 'complete' }, { ...of, name: `good ${index}` })
  await run(server, { type: 'fail', error: 'ledger: 429 after 12 s' }, { ...of, name: 'first bad' })
  await run(server, { type: 'fail', error: 'ledger: 503 after 7 s' }, { graph, name: 'second bad' })
  await run(server, { type: 'cancel' }, { graph, name: 'given up' })

  await page.goto(server.address)
  await page.getByRole('button', { name: 'Menu' }).click()
  await page.getByRole('link', { name: 'Overview' }).click()
  await expect(page).toHaveTitle('Overview · Relive')
  const tile = (name: string) => page.locator('.tile').filter({ has: page.getByText(name, { exact: true }) })
  await expect(tile('Ended')).toContainText('6')
  await expect(tile('Success rate')).toContainText('50.0 %')
  await expect(tile('Tokens')).toContainText('7,200')
  await expect(page.locator('.chart canvas')).toHaveCount(4)

  // The chart, as a table.
  const chart = page.getByRole('region', { name: 'Runs that ended', exact: true })
  await chart.getByRole('button', { name: 'Table' }).click()
  await expect(chart.getByRole('row')).toHaveCount(2)
  await expect(chart.getByRole('row').nth(1).getByRole('cell')).toHaveText(['3', '2', '1'])

  const row = page.getByRole('row').filter({ hasText: 'Nightly ledger' })
  await expect(row.getByRole('cell').first()).toHaveText('4')
  await page.getByRole('button', { name: 'Tag' }).click()
  await expect(page).toHaveURL(/by=tag/)
  const tag = page.getByRole('row').filter({ has: page.getByRole('rowheader', { name: 'nightly' }) })
  await expect(tag.getByRole('cell').nth(2)).toHaveText('1')
  expect(await violations(page)).toEqual([])

  await tag.getByRole('cell').nth(2).getByRole('link').click()
  await expect(page).toHaveURL(/status=failed&tag=nightly&endedAfter=/)
  await expect(page.getByRole('row').filter({ hasText: 'first bad' })).toBeVisible()
  await expect(page.getByRole('row').filter({ hasText: 'second bad' })).toHaveCount(0)
  await page.goBack()

  // Errors of one cause are one, and lead to all of them.
  const errors = page.getByRole('region', { name: 'Errors' }).getByRole('listitem')
  await expect(errors).toHaveCount(1)
  await expect(errors).toContainText('ledger: … after … s')
  await errors.getByRole('link', { name: '2 runs' }).click()
  await expect(page.getByRole('row').filter({ hasText: 'first bad' })).toBeVisible()
  await expect(page.getByRole('row').filter({ hasText: 'second bad' })).toBeVisible()
  await page.getByRole('button', { name: /^ended since/ }).click()
  await expect(page).not.toHaveURL(/endedAfter/)
})
