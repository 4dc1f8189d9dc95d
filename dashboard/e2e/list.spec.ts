import { expect, test } from './fixtures'

test('the list is live, narrowed by filters that stand in the address, and long lists stay light', async ({
  page,
  server,
}) => {
  const graph = (name: string) => ({ name, startNodeId: 'a', nodes: { a: { id: 'a', type: 'command', name: 'A' } } })
  const group = await server.post<{ id: string }>('/groups', { name: 'Spring' })
  const workflow = await server.post<{ id: string }>('/workflows', {
    name: 'Nightly export',
    graph: graph('Nightly export'),
  })
  for (let made = 0; made < 240; made += 24) {
    await Promise.all(
      Array.from({ length: 24 }, () => server.post('/sessions', { workflowId: workflow.id, groupId: group.id })),
    )
  }
  const other = await server.post<{ id: string }>('/sessions', { graph: graph('Elsewhere'), groupId: group.id })
  await page.goto(`${server.address}/?group=${group.id}`)
  const table = page.getByRole('table', { name: 'Sessions' })
  await expect(page.getByRole('status').filter({ hasText: /^241 sessions$/ })).toBeVisible()
  expect(await table.getByRole('row').count()).toBeLessThan(60)

  // All are counted at once; scrolling on reads the older ones.
  const body = page.locator('.table-body')
  const rows = () => table.getAttribute('aria-rowcount').then(Number)
  expect(await rows()).toBeLessThan(241)
  await expect(async () => {
    await body.evaluate((element) => (element.scrollTop = element.scrollHeight))
    expect(await rows()).toBeGreaterThanOrEqual(241)
  }).toPass()
  await body.evaluate((element) => (element.scrollTop = 0))

  // What happens now appears now, in the filtered list as well.
  await page.getByRole('button', { name: 'running', exact: true }).click()
  await expect(page).toHaveURL(`${server.address}/?status=running&group=${group.id}`)
  await expect(page.getByText('No run matches these filters.')).toBeVisible()
  await server.post(`/sessions/${other.id}/control`, { action: 'start' })
  const row = table.getByRole('row').filter({ hasText: other.id.slice(-6) })
  await expect(row).toContainText('running')
  await expect(row).toContainText('Spring')
  await server.post(`/sessions/${other.id}/control`, { action: 'cancel' })
  await expect(row).toBeHidden()
  await page.reload()
  await expect(page.getByRole('button', { name: 'running', exact: true })).toHaveAttribute('aria-pressed', 'true')
  await page.getByRole('button', { name: 'Clear filters' }).first().click()
  await expect(page).toHaveURL(`${server.address}/`)

  // By keyboard alone: into the list, down, and in.
  await table.getByRole('link').first().focus()
  await page.keyboard.press('ArrowDown')
  await page.keyboard.press('Enter')
  await expect(page).toHaveURL(/\/sessions\/[0-9a-f-]{36}$/)
})

test('a run is started from the page, and the server runs it', async ({ page, server }) => {
  const nodes = {
    a: { id: 'a', type: 'start', name: 'Begin', nextIds: ['b'] },
    b: { id: 'b', type: 'end', name: 'Finish' },
  }
  await server.post('/workflows', { name: 'Two steps', graph: { name: 'Two steps', startNodeId: 'a', nodes } })
  await page.goto(server.address)
  await page.getByRole('button', { name: 'New run' }).first().click()
  const dialog = page.getByRole('dialog', { name: 'New run' })
  await dialog.getByLabel('Workflow').selectOption({ label: 'Two steps · 2 nodes' })
  await dialog.getByLabel('Inputs').fill('{')
  await expect(dialog.getByText('This is not valid JSON.')).toBeVisible()
  await dialog.getByLabel('Inputs').fill('{"size": 2}')
  await dialog.getByLabel('Proposal').fill('Begin and finish')
  await dialog.getByRole('button', { name: 'Start', exact: true }).click()
  await expect(page.getByRole('heading', { name: 'Two steps' })).toBeVisible()
  await expect(page.locator('header')).toContainText('completed')
})

test.describe('starting', () => {
  // A refusal is an answer that the browser itself remarks on.
  test.use({ tolerated: /status of 422/ })

  test('a workflow that the server cannot run is refused, and the page says why', async ({ page, server }) => {
    const nodes = { a: { id: 'a', type: 'teleport', name: 'Elsewhere' } }
    await server.post('/workflows', { name: 'Teleport', graph: { name: 'Teleport', startNodeId: 'a', nodes } })
    await page.goto(server.address)
    await page.getByRole('button', { name: 'New run' }).first().click()
    const dialog = page.getByRole('dialog', { name: 'New run' })
    await dialog.getByLabel('Workflow').selectOption({ label: 'Teleport · 1 node' })
    await dialog.getByRole('button', { name: 'Start', exact: true }).click()
    await expect(dialog.locator('.error-line')).toContainText('teleport')
  })
})
