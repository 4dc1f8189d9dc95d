import { expect, test } from './fixtures'
import type { Server } from './server'

const node = (id: string, type: string, name: string, nextIds: string[], properties = {}) => ({
  id,
  type,
  name,
  nextIds,
  properties,
})

/** A run that waits for a review, with what leads to it as commands of an engine. */
async function waiting(server: Server, properties = {}): Promise<string> {
  const nodes = {
    write: node('write', 'agent', 'Write', ['again']),
    again: node('again', 'loop', 'Again?', ['write', 'review']),
    review: node('review', 'human_review', 'Your turn', [], properties),
  }
  const { id } = await server.post<{ id: string }>('/sessions', {
    graph: { name: 'Reviewed', startNodeId: 'write', nodes },
    proposal: 'Plant a tree in the yard.',
  })
  const set = (nodeId: string, status: string, more = {}) => ({ type: 'setNodeStatus', nodeId, status, ...more })
  await server.post(`/sessions/${id}/commands`, [
    { type: 'start' },
    set('write', 'running'),
    { type: 'addMessage', nodeId: 'write', content: 'Plant an oak, on Monday.' },
    set('write', 'completed', { output: { text: 'Plant an oak, on Monday.' } }),
    set('again', 'running'),
    set('again', 'completed', { output: { round: 2, score: 0.91, again: false } }),
    set('review', 'running'),
    set('review', 'suspended'),
  ])
  return id
}

test('a review after a loop shows what was written, and the proposal, not the counters of the loop', async ({
  page,
  server,
}) => {
  const id = await waiting(server)
  await page.goto(`${server.address}/sessions/${id}`)
  const review = page.getByRole('region', { name: 'Your turn is waiting for you' })
  await expect(review.getByRole('region', { name: 'Draft' })).toHaveText('Plant an oak, on Monday.')
  await review.getByText('Proposal', { exact: true }).click()
  await expect(review).toContainText('Plant a tree in the yard.')

  // Where the answer becomes the proposal, the proposal is what is reviewed.
  const other = await waiting(server, { updatesProposal: true })
  await page.goto(`${server.address}/sessions/${other}`)
  await expect(review.getByRole('region', { name: 'Draft' })).toHaveText('Plant a tree in the yard.')
  await review.getByRole('button', { name: 'Edit' }).click()
  await review.getByRole('textbox', { name: 'Draft' }).fill('Plant two trees.')
  await review.getByRole('button', { name: 'Send edited text' }).click()
  const answer = async () => {
    const { events } = await server.get<{ events: { event: { type: string; payload?: unknown } }[] }>(
      `/sessions/${other}/events?limit=200`,
    )
    return events.find(({ event }) => event.type === 'signalled')?.event.payload
  }
  await expect.poll(answer).toEqual({ review: { action: 'modify', data: 'Plant two trees.' } })
})

test('what was written into a review is still there after the page was left', async ({ page, server }) => {
  const id = await waiting(server)
  await page.goto(`${server.address}/sessions/${id}`)
  const review = page.getByRole('region', { name: 'Your turn is waiting for you' })
  await review.getByRole('textbox', { name: 'Comment' }).fill('Say which yard')
  await review.getByRole('button', { name: 'Edit' }).click()
  await review.getByRole('textbox', { name: 'Draft' }).fill('Plant an oak behind the house.')
  await page.getByRole('link', { name: 'Sessions', exact: true }).click()
  await expect(page).toHaveURL(`${server.address}/`)
  await page.goBack()
  await expect(review.getByRole('textbox', { name: 'Draft' })).toHaveValue('Plant an oak behind the house.')
  await page.reload()
  await expect(review.getByRole('textbox', { name: 'Draft' })).toHaveValue('Plant an oak behind the house.')
  await expect(review.getByRole('textbox', { name: 'Comment' })).toHaveValue('Say which yard')

  // Another review has none of it, and once it is sent it is gone here, too.
  const other = await waiting(server)
  await page.goto(`${server.address}/sessions/${other}`)
  await expect(review.getByRole('textbox', { name: 'Comment' })).toHaveValue('')
  await page.goto(`${server.address}/sessions/${id}`)
  await review.getByRole('button', { name: 'Send edited text' }).click()
  await expect
    .poll(() => page.evaluate(() => Object.keys(localStorage).filter((key) => key.startsWith('relive.review'))))
    .toEqual([])
})

test('stop, cancel and reject ask first, and do nothing on one click', async ({ page, server }) => {
  const id = await waiting(server)
  const statusOf = async () => (await server.get<{ status: string }>(`/sessions/${id}`)).status
  const events = async () =>
    (await server.get<{ events: { event: { type: string } }[] }>(`/sessions/${id}/events?limit=200`)).events.map(
      ({ event }) => event.type,
    )
  await page.goto(`${server.address}/sessions/${id}`)
  const dialog = page.getByRole('dialog')
  for (const name of ['Stop', 'Cancel run']) {
    await page.getByRole('button', { name, exact: true }).click()
    await expect(dialog).toBeVisible()
    await dialog.getByRole('button', { name: 'Back' }).click()
    await expect(dialog).toBeHidden()
    expect(await statusOf(), name).toBe('running')
  }
  const review = page.getByRole('region', { name: 'Your turn is waiting for you' })
  await review.getByRole('button', { name: 'Reject' }).click()
  await page.keyboard.press('Escape')
  await expect(dialog).toBeHidden()
  expect(await events()).not.toContain('signalled')

  await review.getByRole('button', { name: 'Reject' }).click()
  await dialog.getByRole('button', { name: 'Reject' }).click()
  await expect.poll(events).toContain('signalled')
  await page.getByRole('button', { name: 'Cancel run', exact: true }).click()
  await dialog.getByRole('button', { name: 'Cancel run' }).click()
  await expect(page.locator('.app-bar .chip')).toHaveText('cancelled')
})
