import { expect, test } from './fixtures'
import type { Server } from './server'

const why = `Connection refused:\n${'the server did not answer within thirty seconds. '.repeat(12)}The end of it.`
const letter = 'Dear all,\n\nthe archive moves on Monday.\nPlease save your work.'

async function failedRun(server: Server): Promise<string> {
  const nodes = {
    write: { id: 'write', type: 'llm', name: 'Write', nextIds: ['send'] },
    send: { id: 'send', type: 'tool', name: 'Send', nextIds: ['log'] },
    log: { id: 'log', type: 'tool', name: 'Log', nextIds: [] },
  }
  const { id } = await server.post<{ id: string }>('/sessions', {
    graph: { name: 'Moving', startNodeId: 'write', nodes },
    inputs: { path: '/srv/archive', retries: 3, hosts: [{ name: 'alpha', port: 22 }] },
    proposal: 'Move the **archive** to the new disk.',
  })
  const set = (nodeId: string, status: string, more = {}) => ({ type: 'setNodeStatus', nodeId, status, ...more })
  await server.post(`/sessions/${id}/commands`, [
    { type: 'start' },
    set('write', 'running'),
    {
      type: 'recordUsage',
      nodeId: 'write',
      agentId: 'scribe',
      model: 'm-1',
      inputTokens: 900,
      outputTokens: 70,
      costUsd: 0.0123,
    },
    set('write', 'completed', { output: { text: letter, model: 'm-1', usage: { input: 900, output: 70 } } }),
    set('log', 'running'),
    set('send', 'running'),
    set('send', 'failed', { error: why }),
    { type: 'fail', error: why },
  ])
  return id
}

test('a failed run opens with what it was given, why it failed, and the way to the node that did', async ({
  page,
  server,
}) => {
  const id = await failedRun(server)
  await page.goto(`${server.address}/sessions/${id}`)
  await expect(page.getByRole('tab', { name: 'Run', exact: true })).toHaveAttribute('aria-selected', 'true')
  const panel = page.getByRole('region', { name: 'Run', exact: true })
  await expect(panel).toContainText('The end of it.')
  await expect(panel).toContainText('/srv/archive')
  await expect(panel).toContainText('alpha')
  await expect(panel.locator('strong')).toHaveText('archive')
  await expect(panel).toContainText('This run has put out nothing yet.')
  await expect(panel.getByRole('row', { name: /^scribe 900 70 \$0\.0123$/ })).toBeVisible()
  await expect(panel.getByRole('row', { name: /^m-1 900 70 \$0\.0123$/ })).toBeVisible()
  await panel.getByRole('button', { name: 'Go to the failed node: Send' }).click()
  await expect(page.getByRole('heading', { name: 'Send' })).toBeVisible()
  await expect(page.locator('.node-card.selected')).toContainText('Send')

  // What a model wrote is read as it was written.
  await page.getByRole('button', { name: /^Write, completed/ }).click()
  const written = page.getByRole('tabpanel').locator('pre').filter({ hasText: 'Dear all' })
  await expect(written).toHaveText(letter, { useInnerText: true })
})

test('a run that ends shows what it put out, at once', async ({ page, server }) => {
  const { id } = await server.post<{ id: string }>('/sessions', { inputs: { size: 2 } })
  await server.post(`/sessions/${id}/commands`, { type: 'start' })
  await page.goto(`${server.address}/sessions/${id}?panel=run`)
  const panel = page.getByRole('region', { name: 'Run', exact: true })
  await expect(panel).toContainText('This run has put out nothing yet.')
  await server.post(`/sessions/${id}/commands`, { type: 'setProposal', proposal: 'Do it twice.' })
  await expect(panel).toContainText('Do it twice.')
  await server.post(`/sessions/${id}/commands`, { type: 'complete', outputs: { answer: 'forty-two' } })
  await expect(panel).toContainText('forty-two')
})

test('a line of the journal is opened', async ({ page, server }) => {
  const id = await failedRun(server)
  await page.goto(`${server.address}/sessions/${id}?panel=journal`)
  await page.getByRole('button', { name: /^Go to revision \d+: Write used 970 tokens/ }).click()
  const event = page.getByRole('region', { name: /^Event \d+$/ })
  await expect(event).toContainText('usageRecorded')
  await expect(event).toContainText('scribe')
  await event.getByRole('button', { name: 'Close' }).click()
  await expect(event).toBeHidden()
})

test('the largest context there can be is shown, searched and copied without waiting', async ({
  page,
  server,
  context,
}) => {
  await context.grantPermissions(['clipboard-read', 'clipboard-write'])
  const { id } = await server.post<{ id: string }>('/sessions', {})
  const rows = Array.from({ length: 16_000 }, (_, n) => ({ id: n, text: `row ${n} of them`, tags: ['a', 'b'] }))
  await server.post(`/sessions/${id}/commands`, [{ type: 'start' }, { type: 'setContext', key: 'rows', value: rows }])
  await page.goto(`${server.address}/sessions/${id}?panel=context`)
  const find = page.getByRole('searchbox', { name: 'Find in this value…' }).last()
  await expect(find).toBeVisible()
  const began = Date.now()
  await find.fill('row 3456 of')
  await expect(page.getByText('1 found').last()).toBeVisible()
  const row = page.locator('.json li.found').filter({ hasText: 'row 3456 of them' })
  await expect(row).toBeVisible()
  expect(Date.now() - began).toBeLessThan(10_000)
  await row.hover()
  await row.getByRole('button', { name: 'Copy path' }).click()
  expect(await page.evaluate(() => navigator.clipboard.readText())).toBe('[3456].text')
  await row.getByRole('button', { name: 'Copy value' }).click()
  await expect.poll(() => page.evaluate(() => navigator.clipboard.readText())).toBe('row 3456 of them')
  expect(await page.evaluate(() => document.querySelectorAll('*').length)).toBeLessThan(20_000)
})
