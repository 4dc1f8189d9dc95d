import { readFileSync } from 'node:fs'

import type { Page } from '@playwright/test'

import { expect, test } from './fixtures'
import type { Server } from './server'

/** Runs of one group, the oldest first. */
async function runs(
  server: Server,
  names: readonly string[],
  more: object = {},
): Promise<{ group: string; ids: string[] }> {
  const { id: group } = await server.post<{ id: string }>('/groups', { name: `Of ${names.join(', ')}` })
  const ids: string[] = []
  for (const name of names) {
    const { id } = await server.post<{ id: string }>('/sessions', { name, groupId: group, ...more })
    ids.push(id)
  }
  return { group, ids }
}

const row = (page: Page, name: string) =>
  page.locator('[data-index]').filter({ has: page.getByText(name, { exact: true }) })
const box = (page: Page, name: string) => page.getByRole('checkbox', { name: `Select ${name}`, exact: true })
const bar = (page: Page) => page.getByRole('region', { name: 'Selected runs' })
const status = async (server: Server, id: string) => (await server.get<{ status: string }>(`/sessions/${id}`)).status

test('runs are selected by click, by shift and by keys, and what leaves the list is not selected any more', async ({
  page,
  server,
}) => {
  const { group, ids } = await runs(server, ['one', 'two', 'three', 'four', 'five'])
  await page.goto(`${server.address}/?group=${group}`)
  await box(page, 'five').click()
  await box(page, 'three').click({ modifiers: ['Shift'] })
  await expect(bar(page)).toContainText('3 selected')
  await expect(row(page, 'four')).toHaveClass(/selected/)
  await box(page, 'four').click()
  await expect(bar(page)).toContainText('2 selected')

  await server.post(`/sessions/${ids[2]}/control`, { action: 'start' })
  await page.getByRole('button', { name: 'pending', exact: true }).click()
  await expect(row(page, 'three')).toBeHidden()
  await expect(bar(page)).toContainText('1 selected')
  await page.getByRole('button', { name: 'pending', exact: true }).click()

  // By keys alone: Space, Shift and the arrows, Escape, and all.
  await page.getByRole('link', { name: 'five', exact: true }).focus()
  await page.keyboard.press('Escape')
  await expect(bar(page)).toBeHidden()
  await page.keyboard.press('Space')
  await expect(box(page, 'five')).toBeChecked()
  await page.keyboard.press('Shift+ArrowDown')
  await expect(box(page, 'four')).toBeChecked()
  await page.keyboard.press('Shift+ArrowDown')
  await expect(bar(page)).toContainText('3 selected')
  await page.keyboard.press('Control+a')
  await expect(bar(page)).toContainText('5 selected')
  await page.getByRole('checkbox', { name: 'Select all that are listed' }).click()
  await expect(bar(page)).toBeHidden()
})

test('the selected are cancelled and deleted, after a question that says how many', async ({ page, server }) => {
  const { group, ids } = await runs(server, ['keep', 'end', 'go'])
  const [keep = '', end = '', go = ''] = ids
  await server.post(`/sessions/${end}/control`, { action: 'start' })
  await server.post(`/sessions/${go}/control`, { action: 'cancel' })
  await page.goto(`${server.address}/?group=${group}`)
  await box(page, 'end').click()
  await box(page, 'go').click()
  await bar(page).getByRole('button', { name: 'Cancel', exact: true }).click()
  // The one that has ended is not asked about.
  const cancel = page.getByRole('dialog', { name: 'Cancel 1 run?' })
  await cancel.getByRole('button', { name: 'Back' }).click()
  await bar(page).getByRole('button', { name: 'Cancel', exact: true }).click()
  await cancel.getByRole('button', { name: 'Cancel', exact: true }).click()
  await expect(row(page, 'end')).toContainText('cancelled')
  await expect(bar(page)).toContainText('1 cancelled')

  await bar(page).getByRole('button', { name: 'Delete' }).click()
  const dialog = page.getByRole('dialog', { name: 'Delete 2 sessions?' })
  await expect(dialog).toContainText('This cannot be undone.')
  await dialog.getByRole('button', { name: 'Delete 2' }).click()
  await expect(row(page, 'end')).toBeHidden()
  await expect(row(page, 'go')).toBeHidden()
  await expect(bar(page)).toContainText('2 deleted')
  expect(await status(server, keep)).toBe('pending')
  await page.getByRole('button', { name: 'Clear the selection' }).click()
  await expect(bar(page)).toBeHidden()
})

test.describe('failures', () => {
  // A refusal is an answer that the browser itself remarks on.
  test.use({ tolerated: /status of (409|422)/ })

  test('what fails for some is said of each, and the others are done', async ({ page, server }) => {
    const { group, ids } = await runs(server, ['first', 'second'])
    const [first = '', second = ''] = ids
    await page.goto(`${server.address}/?group=${group}`)
    await box(page, 'first').click()
    await box(page, 'second').click()
    await bar(page).getByRole('button', { name: 'Cancel', exact: true }).click()
    const dialog = page.getByRole('dialog', { name: 'Cancel 2 runs?' })
    await expect(dialog).toBeVisible()
    // One ends while the question is open.
    await server.post(`/sessions/${first}/control`, { action: 'start' })
    await server.post(`/sessions/${first}/control`, { action: 'complete' })
    await dialog.getByRole('button', { name: 'Cancel', exact: true }).click()
    const failures = page.getByRole('dialog', { name: '1 run could not be cancelled' })
    await expect(failures.getByRole('listitem')).toHaveCount(1)
    await expect(failures.getByRole('listitem')).toContainText('first')
    await expect(failures.getByRole('listitem')).toContainText('illegal_transition')
    await expect(failures).toContainText('1 cancelled')
    expect(await status(server, second)).toBe('cancelled')
    expect(await status(server, first)).toBe('completed')
  })
})

test('runs are run again with what they were begun with, and only by who can', async ({ page, server }) => {
  const nodes = {
    a: { id: 'a', type: 'start', name: 'A', nextIds: ['b'] },
    b: { id: 'b', type: 'end', name: 'B', properties: { output: '{{inputs.size}}' } },
  }
  const graph = { name: 'Again', startNodeId: 'a', nodes }
  const { group, ids } = await runs(server, ['mine'], { graph, driver: 'builtin', inputs: { size: 7 }, tags: ['x'] })
  await server.post('/sessions', { name: 'theirs', groupId: group })
  await server.post(`/sessions/${ids[0]}/control`, { action: 'start' })
  await page.goto(`${server.address}/?group=${group}`)
  await expect(row(page, 'mine')).toContainText('completed')
  await box(page, 'mine').click()
  await box(page, 'theirs').click()
  await bar(page).getByRole('button', { name: 'Run again' }).click()
  const failures = page.getByRole('dialog', { name: '1 run could not be run again' })
  await expect(failures.getByRole('listitem')).toContainText('theirs')
  await expect(failures.getByRole('listitem')).toContainText('only that can run it again')
  await failures.getByRole('button', { name: 'Close' }).last().click()
  await expect(page.getByRole('link', { name: 'mine', exact: true })).toHaveCount(2)
  const { sessions } = await server.get<{ sessions: { id: string; name: string; tags?: string[]; status: string }[] }>(
    `/sessions?groupId=${group}`,
  )
  const other = sessions.find(({ id, name }) => name === 'mine' && id !== ids[0])
  expect(other?.tags).toEqual(['x'])
  await expect.poll(() => status(server, other?.id ?? '')).toBe('completed')
  const entity = await server.get<{ outputs: unknown; inputs: unknown }>(`/sessions/${other?.id}/entity`)
  expect(entity.inputs).toEqual({ size: 7 })
})

test('tags of many are changed beside what each has', async ({ page, server }) => {
  const { group, ids } = await runs(server, ['left', 'right'], { tags: ['old', 'both'] })
  await server.post(`/sessions/${ids[0]}/commands`, { type: 'setLabels', tags: ['own', 'old'] })
  await page.goto(`${server.address}/?group=${group}`)
  await expect(row(page, 'left').locator('.tag')).toHaveText(['own', 'old'])
  await box(page, 'left').click()
  await box(page, 'right').click()
  await bar(page).getByRole('button', { name: 'Tags…' }).click()
  const dialog = page.getByRole('dialog', { name: 'Tags of 2 runs' })
  await dialog.getByLabel('Add tags').fill('new, both')
  await dialog.getByRole('checkbox', { name: 'old' }).click()
  await dialog.getByRole('button', { name: 'Change tags' }).click()
  await expect(row(page, 'left').locator('.tag')).toHaveText(['own', 'new', 'both'])
  await expect(row(page, 'right').locator('.tag')).toHaveText(['both', 'new'])
})

test('one run is exported as its file, several as one', async ({ page, server }) => {
  const { group, ids } = await runs(server, ['north', 'south'])
  await page.goto(`${server.address}/?group=${group}`)
  await box(page, 'north').click()
  const saved = async () => {
    const download = page.waitForEvent('download')
    await bar(page).getByRole('button', { name: 'Export' }).click()
    return await download
  }
  const single = await saved()
  expect(single.suggestedFilename()).toBe(`${ids[0]}.ndjson`)
  const [header] = readFileSync(await single.path(), 'utf8').split('\n')
  expect(header).toContain(ids[0])
  await box(page, 'south').click()
  const both = await saved()
  expect(both.suggestedFilename()).toBe('sessions.zip')
  const zip = readFileSync(await both.path()).toString('latin1')
  for (const id of ids) expect(zip).toContain(`${id}.ndjson`)
})

test('all that match are counted first, and then deleted, also those that the page does not hold', async ({
  page,
  server,
}) => {
  const tag = `bulk-${Date.now()}`
  await Promise.all(Array.from({ length: 230 }, () => server.post('/sessions', { name: 'many', tags: [tag] })))
  await server.post('/sessions', { name: 'stays', tags: ['other'] })
  await page.goto(server.address)
  // Not without a filter.
  await expect(page.getByRole('button', { name: 'Delete all that match' })).toHaveCount(0)
  await page.goto(`${server.address}/?tag=${tag}`)
  await expect(page.getByRole('status').filter({ hasText: /^230 sessions$/ })).toBeVisible()
  await page.getByRole('button', { name: 'Delete all that match' }).click()
  const dialog = page.getByRole('dialog', { name: 'Delete all that match' })
  await expect(dialog).toContainText('230 sessions match')
  await dialog.getByRole('button', { name: 'Delete 230' }).click()
  await expect(dialog).toContainText('230 sessions deleted.')
  await dialog.getByRole('button', { name: 'Close' }).last().click()
  await expect(page.getByText('No run matches these filters.')).toBeVisible()
  const { sessions } = await server.get<{ sessions: unknown[] }>('/sessions?tag=other&name=stays')
  expect(sessions).toHaveLength(1)
})
