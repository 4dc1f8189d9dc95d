import { test as base, expect } from './fixtures'
import { Server } from './server'

/** A server of its own: the inbox is of all sessions, and others wait in those of other tests. */
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

async function waiting(server: Server, name: string, more: readonly object[] = []): Promise<string> {
  const nodes = {
    write: { id: 'write', type: 'agent', name: 'Write', nextIds: ['review'] },
    review: { id: 'review', type: 'human_review', name: 'Check it', nextIds: [], properties: { timeoutMinutes: 90 } },
  }
  const { id } = await server.post<{ id: string }>('/sessions', { name, graph: { name, startNodeId: 'write', nodes } })
  const set = (nodeId: string, status: string) => ({ type: 'setNodeStatus', nodeId, status })
  await server.post(`/sessions/${id}/commands`, [
    { type: 'start' },
    set('write', 'running'),
    { type: 'addMessage', nodeId: 'write', content: `What ${name} is about.` },
    set('write', 'completed'),
    set('review', 'running'),
    set('review', 'suspended'),
    ...more,
  ])
  return id
}

test('what waits is counted in the title, listed, and answered in one place', async ({ page, server }) => {
  // Instead of the browser's own, which nobody sees here.
  await page.addInitScript(() => {
    const shown: string[] = []
    class Shown {
      static permission = 'granted'
      static requestPermission = async () => 'granted'
      constructor(title: string, { body }: { body: string }) {
        shown.push(`${title} ${body}`)
      }
      close() {}
    }
    Object.assign(globalThis, { Notification: Shown, shownNotifications: shown })
  })
  await page.goto(server.address)
  await expect(page).toHaveTitle('Sessions · Relive')
  await expect(page.getByRole('link', { name: 'Inbox' })).toBeHidden()
  const first = await waiting(server, 'the oak')
  await expect(page).toHaveTitle('(1) Sessions · Relive')
  await waiting(server, 'the elm')
  await expect(page).toHaveTitle('(2) Sessions · Relive')

  await page.getByRole('link', { name: 'Inbox' }).click()
  await expect(page).toHaveTitle('(2) Inbox · Relive')
  const rows = page.getByRole('list', { name: 'Inbox' }).getByRole('button')
  await expect(rows).toHaveCount(2)
  await expect(rows.first()).toContainText('the oak')
  const review = page.getByRole('region', { name: 'Check it is waiting for you' })
  await expect(review).toContainText('What the oak is about.')
  await expect(review).toContainText('due in 1 hr.')
  await rows.last().click()
  await expect(review).toContainText('What the elm is about.')
  await rows.first().click()

  // What is written stays while another is looked at.
  await review.getByRole('textbox', { name: 'Comment' }).fill('Tall enough')
  await rows.last().click()
  await expect(review.getByRole('textbox', { name: 'Comment' })).toHaveValue('')
  await rows.first().click()
  await expect(review.getByRole('textbox', { name: 'Comment' })).toHaveValue('Tall enough')
  await review.getByRole('button', { name: 'Approve' }).click()
  const answers = async () => {
    const path = `/sessions/${first}/events?limit=200`
    const { events } = await server.get<{ events: { event: { type: string; payload?: unknown } }[] }>(path)
    return events.filter(({ event }) => event.type === 'signalled').map(({ event }) => event.payload)
  }
  await expect.poll(answers).toEqual([{ review: { action: 'approve', comment: 'Tall enough' } }])
  await server.post(`/sessions/${first}/commands`, [
    { type: 'setNodeStatus', nodeId: 'review', status: 'completed' },
    { type: 'complete' },
  ])
  await expect(rows).toHaveCount(1)
  await expect(review).toContainText('What the elm is about.')
  await expect(page).toHaveTitle('(1) Inbox · Relive')
  // Somebody who looks elsewhere is told, and only of what is new.
  await page.getByRole('button', { name: 'Notify me' }).click()
  await expect(page.getByRole('button', { name: 'Notifications are on' })).toHaveAttribute('aria-pressed', 'true')
  const shown = () =>
    page.evaluate(() => (globalThis as unknown as { shownNotifications: string[] }).shownNotifications)
  await waiting(server, 'the ash')
  await expect(rows).toHaveCount(2)
  expect(await shown()).toEqual([])
  await page.evaluate(() => Object.defineProperty(document, 'hidden', { get: () => true, configurable: true }))
  await waiting(server, 'the fir')
  await expect.poll(shown).toEqual(['the fir is waiting for you'])
  await page.evaluate(() => Object.defineProperty(document, 'hidden', { get: () => false, configurable: true }))
  await page.getByRole('link', { name: 'Open the elm' }).click()
  await expect(page.getByRole('heading', { name: 'the elm' })).toBeVisible()
  await expect(page).toHaveTitle('(3) the elm · Relive')
})

test('a question without a draft is asked, with what the run was given', async ({ page, server }) => {
  const graph = {
    name: 'Triage',
    startNodeId: 'ask',
    nodes: {
      ask: {
        id: 'ask',
        type: 'human_review',
        name: 'Wake somebody?',
        properties: { prompt: 'Urgency {{ inputs.urgency }}: wake somebody?' },
      },
    },
  }
  const { id } = await server.post<{ id: string }>('/sessions', {
    name: 'Ticket 4409',
    graph,
    driver: 'builtin',
    inputs: { urgency: 9, title: 'The export is empty' },
  })
  await server.post(`/sessions/${id}/control`, { action: 'start' })
  await page.goto(`${server.address}/?page=inbox`)
  await page.getByRole('list', { name: 'Inbox' }).getByRole('button', { name: 'Ticket 4409' }).click()
  const review = page.getByRole('region', { name: 'Wake somebody? is waiting for you' })
  await expect(review).toContainText('Urgency 9: wake somebody?')
  await expect(review.getByRole('region', { name: 'Inputs' })).toContainText('The export is empty')
  await expect(review).not.toContainText('There is no draft')
})
