import { expect, test } from './fixtures'
import type { Server } from './server'

const messages = 6500
const atOnce = 500

/** What the n-th message says, counted from 0. */
const text = (n: number) => `Message ${String(n).padStart(4, '0')}.`

/** A run that said more than a page holds; message n came with revision n + 3. */
async function talkativeRun(server: Server): Promise<string> {
  const { id } = await server.post<{ id: string }>('/sessions', {})
  await server.post(`/sessions/${id}/control`, { action: 'start' })
  for (let first = 0; first < messages; first += atOnce) {
    const commands = Array.from({ length: atOnce }, (_, index) => {
      const n = first + index
      return { type: 'addMessage', nodeId: `speaker-${Math.floor(n / 20)}`, content: text(n) }
    })
    await server.post(`/sessions/${id}/commands`, commands)
  }
  return id
}

test('a run of more messages than a page holds: its newest, its first, and those of any moment', async ({
  page,
  server,
}) => {
  const id = await talkativeRun(server)
  const asked: URL[] = []
  page.on('request', (request) => {
    const url = new URL(request.url())
    if (url.pathname.endsWith('/messages')) asked.push(url)
  })
  await page.goto(`${server.address}/sessions/${id}`)
  const log = page.getByRole('log', { name: 'Messages' })
  await expect(log.getByText(text(messages - 1))).toBeInViewport()
  expect(asked[0]?.searchParams.get('order')).toBe('desc')

  // What is said now stands at the end.
  const say = (content: string) =>
    server.post(`/sessions/${id}/commands`, { type: 'addMessage', nodeId: 'last', content })
  await say('Said while somebody looks.')
  await expect(log.getByText('Said while somebody looks.')).toBeInViewport()

  // Back to the first, by a page at a time; what is being read stays in sight.
  const toTop = () => log.evaluate((element) => element.scrollTo({ top: 0 }))
  const earlier = log.getByRole('button', { name: 'Earlier messages' })
  // A page brings five hundred more: as many are of the very millisecond at which it begins.
  await expect.poll(() => asked.length).toBeGreaterThanOrEqual(7)
  await expect(async () => {
    await toTop()
    await expect(earlier).toBeInViewport({ timeout: 500 })
  }).toPass()
  const first = log.getByText(/^Message \d+\.$/).first()
  const atTop = await first.innerText()
  await earlier.click()
  // The first that is there is another, and out of sight.
  await expect(first).not.toHaveText(atTop)
  await expect(log.getByText(atTop)).toBeInViewport()
  await expect(async () => {
    await toTop()
    if (await earlier.isVisible()) await earlier.click()
    await expect(log.getByText(text(0))).toBeInViewport({ timeout: 500 })
  }).toPass()
  await expect(earlier).toBeHidden()
  expect(await log.getByText(text(messages - 1)).count()).toBe(0)

  // Meanwhile the newest were let go; they come back, with what was said since.
  await say('Said while nobody looked.')
  await page.getByRole('button', { name: 'Newest' }).click()
  await expect(log.getByText('Said while nobody looked.')).toBeInViewport()
  await expect(log.getByText('Said while somebody looks.')).toBeVisible()

  // A moment of long ago, by the scrubber and by a link.
  const before = asked.length
  const scrubber = page.getByRole('slider', { name: 'Position in the run' })
  await scrubber.focus()
  await page.keyboard.press('Home')
  await expect(scrubber).toHaveAttribute('aria-valuenow', '1')
  await expect(page.getByText('No messages yet.')).toBeVisible()
  // Those that fill the book after coming back, which may still be under way, and two around the moment.
  expect(asked.length - before).toBeLessThanOrEqual(12)
  await page.goto(`${server.address}/sessions/${id}?revision=${2 + atOnce}`)
  await expect(log.getByText(text(atOnce - 1))).toBeInViewport()
  expect(await log.getByText(text(atOnce)).count()).toBe(0)
  await page.keyboard.press('End')
  await expect(log.getByText('Said while nobody looked.')).toBeInViewport()
})

test('a node shows what it had put out at the moment that is looked at, however long ago', async ({ page, server }) => {
  const { id } = await server.post<{ id: string }>('/sessions', {})
  const put = (status: string, output?: string) => ({
    type: 'setNodeStatus',
    nodeId: 'job',
    status,
    ...(output !== undefined && { output }),
  })
  await server.post(`/sessions/${id}/commands`, [
    { type: 'start' },
    put('running'),
    put('completed', 'What came out first'),
  ])
  for (let turn = 0; turn < 3; turn += 1) {
    const commands = Array.from({ length: 1000 }, (_, n) => ({ type: 'setContext', key: 'n', value: turn * 1000 + n }))
    await server.post(`/sessions/${id}/commands`, commands)
  }
  await server.post(`/sessions/${id}/commands`, [put('running'), put('completed', 'What came out last')])
  await page.goto(`${server.address}/sessions/${id}`)
  await page.getByRole('button', { name: /^job, completed/ }).click()
  await page.getByRole('tab', { name: 'Node' }).click()
  const panel = page.getByRole('tabpanel')
  await expect(panel.getByText('What came out last')).toBeVisible()
  // Just before its second attempt, three thousand revisions after its first.
  await page.goto(`${server.address}/sessions/${id}?node=job&revision=3004&panel=node`)
  await page.getByRole('tab', { name: 'Node' }).click()
  await expect(panel.getByText('What came out first')).toBeVisible()
  await expect(panel.getByText('What came out last')).toBeHidden()
})
