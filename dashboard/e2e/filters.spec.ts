import type { Page } from '@playwright/test'

import { expect, test } from './fixtures'
import type { Server } from './server'

const rows = (page: Page) => page.locator('[data-index]')
const names = (page: Page) => rows(page).locator('.col-name .row-line:first-child > a:first-child').allTextContents()
const set = (nodeId: string, status: string) => ({ type: 'setNodeStatus', nodeId, status })

async function begun(server: Server, body: object, ...commands: readonly object[]): Promise<string> {
  const { id } = await server.post<{ id: string }>('/sessions', body)
  await server.post(`/sessions/${id}/commands`, [{ type: 'start' }, ...commands])
  return id
}

test('children are folded under their parents, live, and by themselves where a list is narrowed', async ({
  page,
  server,
}) => {
  const parent = await begun(server, { name: 'The parent' })
  const first = await begun(server, { name: 'The first child', parentSessionId: parent })
  const grandchild = await begun(server, { name: 'The grandchild', parentSessionId: first })
  await page.goto(server.address)
  const row = (name: string) => rows(page).filter({ has: page.getByRole('link', { name, exact: true }) })
  await expect(row('The parent')).toBeVisible()
  await expect(row('The first child')).toHaveCount(0)
  const unfold = page.getByRole('button', { name: 'Children of The parent' })
  await expect(unfold).toHaveAttribute('aria-expanded', 'false')
  await unfold.click()
  await expect(row('The first child')).toBeVisible()
  await expect(unfold).toHaveAttribute('aria-expanded', 'true')

  // What happens to children is seen here, and new ones come.
  await server.post(`/sessions/${first}/control`, { action: 'complete' })
  await expect(row('The first child')).toContainText('completed')
  const second = await begun(server, { name: 'The second child', parentSessionId: parent })
  await expect(row('The second child')).toBeVisible()
  const at = async (name: string) => Number(await row(name).getAttribute('data-index'))
  expect(await at('The second child')).toBe((await at('The parent')) + 1)

  // By keys, at every level.
  await page.getByRole('link', { name: 'The first child', exact: true }).focus()
  await page.keyboard.press('ArrowRight')
  await expect(row('The grandchild')).toBeVisible()
  await page.keyboard.press('ArrowLeft')
  await expect(row('The grandchild')).toHaveCount(0)

  // A deleted parent leaves its children as roots.
  await fetch(`${server.address}/api/v1/sessions/${parent}`, { method: 'DELETE' })
  await expect(row('The parent')).toHaveCount(0)
  await expect(row('The second child')).toBeVisible()
  expect(second).not.toBe('')

  await page.getByRole('searchbox').fill('grandchild')
  await expect(row('The grandchild')).toBeVisible()
  await page.getByRole('button', { name: 'Fold families' }).click()
  await expect(page).toHaveURL(/families=folded/)
  await expect(row('The grandchild')).toHaveCount(0)
  expect(grandchild).not.toBe('')
})

test('what waits for somebody is found by itself, and goes when it was answered', async ({ page, server }) => {
  const waits = await begun(
    server,
    { name: 'Waits here', tags: ['wait-test'] },
    set('ask', 'running'),
    set('ask', 'suspended'),
  )
  await begun(server, { name: 'Only runs', tags: ['wait-test'] }, set('work', 'running'))
  await page.goto(`${server.address}/?tag=wait-test`)
  await expect(rows(page)).toHaveCount(2)
  await page.getByRole('button', { name: 'waiting for you' }).click()
  await expect(page).toHaveURL(/waiting=true/)
  await expect.poll(() => names(page)).toEqual(['Waits here'])
  await expect(rows(page).first()).toContainText('waiting for you')
  // The server has no such filter: nothing could be deleted by it.
  await expect(page.getByRole('button', { name: 'Delete all that match' })).toHaveCount(0)
  await server.post(`/sessions/${waits}/commands`, [set('ask', 'completed')])
  await expect(page.getByText('No run matches these filters.')).toBeVisible()
  const again = await begun(
    server,
    { name: 'Waits anew', tags: ['wait-test'] },
    set('ask', 'running'),
    set('ask', 'suspended'),
  )
  await expect.poll(() => names(page)).toEqual(['Waits anew'])
  expect(again).not.toBe('')
})

test('runs are found by their tags and by when they were started', async ({ page, server }) => {
  await begun(server, { name: 'Tagged both', tags: ['night, late', 'find-me'] })
  await begun(server, { name: 'Tagged one', tags: ['find-me'] })
  await page.goto(server.address)
  await page.getByRole('button', { name: 'Tags', exact: true }).click()
  await page.getByLabel('With the tag').fill('find-me')
  await page.getByLabel('With the tag').press('Enter')
  await expect.poll(() => names(page)).toEqual(['Tagged one', 'Tagged both'])
  await page.getByRole('button', { name: 'Tags', exact: true }).click()
  await page.getByLabel('With the tag').fill('night, late')
  await page.getByRole('button', { name: 'Filter by it' }).click()
  await expect.poll(() => names(page)).toEqual(['Tagged both'])
  await page.reload()
  await expect.poll(() => names(page)).toEqual(['Tagged both'])
  await page.getByRole('button', { name: 'night, late ×' }).click()
  await expect(rows(page)).toHaveCount(2)

  await page.getByRole('button', { name: 'Any time' }).click()
  await page.getByRole('radio', { name: 'within the last hour' }).check()
  await expect(page).toHaveURL(/startedAfter=1h/)
  await expect(rows(page)).toHaveCount(2)
  await page.getByLabel('Until').fill('2020-01-01T00:00')
  await expect(page.getByText('No run matches these filters.')).toBeVisible()
  await page.keyboard.press('Escape')
  await page.getByRole('button', { name: 'Clear filters' }).first().click()
  await expect(page).toHaveURL(`${server.address}/`)
})

test('any column is an order, and those that are shown are chosen', async ({ page, server }) => {
  const usage = (costUsd: number) => ({
    type: 'recordUsage',
    nodeId: 'a',
    model: 'm',
    inputTokens: 1,
    outputTokens: 1,
    costUsd,
  })
  for (const [name, price] of [
    ['run 10', 2],
    ['run 9', 9],
    ['run 100', 5],
  ] as const)
    await begun(server, { name, tags: ['order-test'] }, set('a', 'running'), usage(price))
  await page.goto(`${server.address}/?tag=order-test`)
  await expect.poll(() => names(page)).toEqual(['run 100', 'run 9', 'run 10'])
  const head = (name: string) => page.getByRole('columnheader', { name })
  await expect(head('Created')).toHaveAttribute('aria-sort', 'descending')
  await head('Cost').getByRole('button').click()
  await expect.poll(() => names(page)).toEqual(['run 9', 'run 100', 'run 10'])
  await expect(head('Cost')).toHaveAttribute('aria-sort', 'descending')
  await expect(page).toHaveURL(/sort=-cost/)
  await head('Run').getByRole('button').click()
  await expect.poll(() => names(page)).toEqual(['run 9', 'run 10', 'run 100'])
  await head('Run').getByRole('button').click()
  await head('Run').getByRole('button').click()
  await expect.poll(() => names(page)).toEqual(['run 100', 'run 9', 'run 10'])

  await page.getByRole('button', { name: 'Columns' }).click()
  await page.getByRole('checkbox', { name: 'Tokens' }).uncheck()
  await page.getByRole('checkbox', { name: 'Updated' }).check()
  await page.keyboard.press('Escape')
  await expect(head('Tokens')).toHaveCount(0)
  await expect(head('Updated')).toBeVisible()
  await page.reload()
  await expect(head('Updated')).toBeVisible()
  await expect(head('Tokens')).toHaveCount(0)
})

test('a view is saved under a name, opened again, sent as an address and removed', async ({
  page,
  server,
  browser,
}) => {
  await begun(server, { name: 'In the view', tags: ['view-test'] })
  await page.goto(`${server.address}/?tag=view-test&sort=-cost`)
  await page.getByRole('button', { name: 'Views' }).click()
  await page.getByRole('textbox', { name: 'Name of this view' }).fill('Costly ones')
  await page.getByRole('button', { name: 'Save', exact: true }).click()
  const view = page.getByRole('link', { name: 'Costly ones' })
  await expect(view).toBeVisible()
  const address = await view.getAttribute('href')
  await page.goto(server.address)
  await page.getByRole('button', { name: 'Views' }).click()
  await view.click()
  await expect(page).toHaveURL(/tag=view-test.*sort=-cost/)
  await expect(rows(page)).toHaveCount(1)

  // Somebody else has nothing but the address.
  const other = await browser.newPage()
  await other.goto(server.address + (address ?? ''))
  await expect(other.getByRole('columnheader', { name: 'Cost' })).toBeVisible()
  await other.close()

  await page.getByRole('button', { name: 'Views' }).click()
  await page.getByRole('button', { name: 'Remove Costly ones' }).click()
  await expect(view).toHaveCount(0)
})
