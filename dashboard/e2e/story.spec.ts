// The whole story of a newcomer: from the first look at the tour to reliving it.
import { expect, test } from './fixtures'

test('the tour is watched to its end, paused and resumed on the way, and relived', async ({ page, server }) => {
  await page.goto(server.address)
  await expect(page.getByRole('status').filter({ hasText: 'live' })).toBeVisible()
  const { sessionId, ended } = await server.run('examples/tour.json')
  const row = page.getByRole('row').filter({ hasText: sessionId.slice(-6) })
  await expect(row).toContainText('running')
  await row.getByRole('link').click()
  await expect(page).toHaveURL(`${server.address}/sessions/${sessionId}`)
  await expect(page.getByRole('heading', { name: 'Tour' })).toBeVisible()

  const primes = page.getByRole('button', { name: /^Look for primes, slowly, running/ })
  await expect(primes).toBeVisible()
  await page.getByRole('button', { name: 'Pause', exact: true }).click()
  await expect(page.locator('.chip.paused')).toHaveText('paused')
  await expect(page.getByRole('button', { name: 'Pause', exact: true })).toBeDisabled()
  expect((await server.get<{ status: string }>(`/sessions/${sessionId}`)).status).toBe('paused')
  await page.getByRole('button', { name: 'Resume', exact: true }).click()
  // It may have little left to do, and be over before anybody sees it run.
  await expect(page.locator('.app-bar .chip')).not.toHaveText('paused')

  await expect(page.locator('.app-bar .chip.completed')).toBeVisible({ timeout: 40_000 })
  expect(await ended).toBe(0)
  await expect(page.locator('.totals')).toContainText('13 of 13 nodes')
  await expect(page.getByRole('button', { name: /^Tidy up, completed/ })).toBeVisible()
  // What failed once says so, to whoever asks.
  await page.getByRole('button', { name: /^Count distinct ones.*completed, attempt 2/ }).click()
  await page.getByRole('tab', { name: 'Node' }).click()
  await expect(page.getByRole('tabpanel').getByText('failed')).toBeVisible()

  // Reliving: the very first state, then on by one, then the middle by the scrubber.
  const scrubber = page.getByRole('slider', { name: 'Position in the run' })
  await scrubber.focus()
  await page.keyboard.press('Home')
  await expect(scrubber).toHaveAttribute('aria-valuenow', '1')
  await expect(page.getByRole('button', { name: /^Make a place to work, pending/ })).toBeVisible()
  await expect(page.locator('.app-bar .chip')).toHaveText('pending')
  await page.keyboard.press('ArrowRight')
  await expect(scrubber).toHaveAttribute('aria-valuenow', '2')
  await expect(page.locator('.app-bar .chip')).toHaveText('running')
  const box = await scrubber.boundingBox()
  if (box === null) throw new Error('the scrubber has no place')
  await page.mouse.click(box.x + box.width * 0.5, box.y + box.height / 2)
  await expect(page.getByRole('button', { name: /^Look for primes, slowly, running/ })).toBeVisible()
  await expect(page.getByRole('button', { name: /^Write the report, pending/ })).toBeVisible()

  // A link to that moment leads to that moment; the address follows the scrubber a little later.
  const revision = await scrubber.getAttribute('aria-valuenow')
  await expect(page).toHaveURL(new RegExp(`revision=${revision}(&|$)`))
  await page.reload()
  await expect(scrubber).toHaveAttribute('aria-valuenow', revision ?? '')
  await expect(page.getByRole('button', { name: /^Write the report, pending/ })).toBeVisible()

  // Comparing it with the end, by node.
  await page.getByRole('button', { name: 'Compare from here' }).click()
  await page.getByRole('button', { name: 'To the end' }).click()
  await expect(
    page.getByRole('tabpanel').getByRole('button', { name: /^Write the report.*pending.*completed/ }),
  ).toBeVisible()

  // Playing to the end, quickly.
  await page.getByRole('radio', { name: '20×' }).click()
  await page.getByRole('button', { name: 'Play', exact: true }).click()
  await expect(page.getByRole('button', { name: 'Pause replay' })).toBeVisible()
  await expect(page.getByRole('button', { name: 'Play', exact: true })).toBeVisible()
  await expect(page.getByRole('button', { name: /^Tidy up, completed/ })).toBeVisible()
})

test('a review is read, edited and answered; the run goes on', async ({ page, server }) => {
  const { sessionId, ended } = await server.run('examples/review.json')
  // The graph, which says whose draft it is, comes late.
  let answerForGraph = () => {}
  const isAskedFor = new Promise<void>((resolve) => (answerForGraph = resolve))
  await page.route(/\/events\?after=0&limit=1$/, async (route) => {
    await isAskedFor
    await route.continue()
  })
  await page.goto(`${server.address}/sessions/${sessionId}`)
  const review = page.getByRole('region', { name: 'Look at the draft is waiting for you' })
  await expect(review.getByRole('region', { name: 'Draft' })).toHaveText('Loading…')
  answerForGraph()
  await expect(review.getByRole('region', { name: 'Draft' })).toContainText('Live it, then relive it.')
  await expect(page.getByRole('button', { name: /^Look at the draft, suspended/ })).toBeVisible()
  await review.getByRole('button', { name: 'Edit' }).click()
  await review.getByRole('textbox', { name: 'Draft' }).fill('Live it. Then relive it.')
  await review.getByRole('button', { name: 'Send edited text' }).click()
  await expect(page.locator('.app-bar .chip.completed')).toBeVisible()
  await expect(review).toBeHidden()
  expect(await ended).toBe(0)
  const { events } = await server.get<{ events: { event: { type: string; payload?: unknown } }[] }>(
    `/sessions/${sessionId}/events`,
  )
  const signals = events.filter(({ event }) => event.type === 'signalled')
  expect(signals).toHaveLength(1)
  expect(signals[0]?.event.payload).toEqual({ review: { action: 'modify', data: 'Live it. Then relive it.' } })
})

test('a refused command shows its reason, and what another viewer does appears at once', async ({ page, server }) => {
  const session = await server.post<{ id: string }>('/sessions', {})
  await page.goto(`${server.address}/sessions/${session.id}`)
  await expect(page.locator('.app-bar .chip')).toHaveText('pending')
  await server.post(`/sessions/${session.id}/control`, { action: 'start' })
  await expect(page.locator('.app-bar .chip')).toHaveText('running')
  const suspend = ['running', 'suspended'].map((status) => ({
    type: 'setNodeStatus',
    nodeId: 'job',
    nodeType: 'gate',
    status,
  }))
  await server.post(`/sessions/${session.id}/commands`, suspend)
  await page.getByRole('button', { name: /^job, suspended/ }).click()
  const waiting = page.getByRole('region', { name: 'job is waiting for a signal' })
  await waiting.getByPlaceholder('Text, or JSON').fill('go on')
  // Somebody else was faster, and a waiting node holds one signal.
  await server.post(`/sessions/${session.id}/signal`, { nodeId: 'job', payload: 'go on' })
  await waiting.getByRole('button', { name: 'Send' }).click()
  await expect(page.getByRole('alert')).toContainText('signal_pending')
})

test('a run can be forked where it is looked at', async ({ page, server }) => {
  const session = await server.post<{ id: string }>('/sessions', {})
  const commands = [
    { type: 'start' },
    { type: 'setNodeStatus', nodeId: 'a', status: 'completed' },
    { type: 'setNodeStatus', nodeId: 'b', status: 'running' },
  ]
  await server.post(`/sessions/${session.id}/commands`, commands)
  await page.goto(`${server.address}/sessions/${session.id}?revision=3`)
  await expect(page.getByRole('slider', { name: 'Position in the run' })).toHaveAttribute('aria-valuenow', '3')
  await page.getByRole('button', { name: 'Fork from here' }).click()
  await page.getByRole('dialog').getByRole('button', { name: 'Fork', exact: true }).click()
  await expect(page.getByRole('link', { name: 'forked at revision 3' })).toBeVisible()
  await expect(page).not.toHaveURL(new RegExp(session.id))
  await expect(page.getByRole('button', { name: /^a, completed/ })).toBeVisible()
})

test('back and forward lead through the moments that were looked at', async ({ page, server }) => {
  const session = await server.post<{ id: string }>('/sessions', {})
  const names = ['a', 'b', 'c', 'd']
  await server.post(`/sessions/${session.id}/commands`, [
    { type: 'start' },
    ...names.map((nodeId) => ({ type: 'setNodeStatus', nodeId, status: 'completed' })),
  ])
  await page.goto(`${server.address}/sessions/${session.id}`)
  const scrubber = page.getByRole('slider', { name: 'Position in the run' })
  const live = page.getByRole('button', { name: 'Live', exact: true })
  await expect(scrubber).toHaveAttribute('aria-valuenow', '6')

  // Two moments, one after the other: one step, as far as the browser is concerned.
  await page.getByRole('button', { name: /^Go to revision 4/ }).click()
  await expect(page).toHaveURL(/revision=4/)
  await page.getByRole('button', { name: /^Go to revision 3/ }).click()
  await expect(page).toHaveURL(/revision=3/)
  await expect(page.getByRole('button', { name: /^b, pending/ })).toBeVisible()
  await page.goBack()
  await expect(page).not.toHaveURL(/revision/)
  await expect(live).toHaveAttribute('aria-pressed', 'true')
  await expect(page.getByRole('button', { name: /^b, completed/ })).toBeVisible()
  await page.goForward()
  await expect(scrubber).toHaveAttribute('aria-valuenow', '3')
  await expect(page.getByRole('button', { name: /^b, pending/ })).toBeVisible()
  await expect(page).toHaveURL(/revision=3/)

  // Live again is a step too, and back leads to the moment.
  await live.click()
  await expect(page).not.toHaveURL(/revision/)
  await page.goBack()
  await expect(scrubber).toHaveAttribute('aria-valuenow', '3')
  await expect(page).toHaveURL(/revision=3/)

  // Opened at a moment, every other one is as near, earlier ones too.
  await page.reload()
  await expect(scrubber).toHaveAttribute('aria-valuenow', '3')
  await page.getByRole('button', { name: /^Go to revision 2/ }).click()
  await expect(scrubber).toHaveAttribute('aria-valuenow', '2')
  await scrubber.press('Home')
  await expect(scrubber).toHaveAttribute('aria-valuenow', '1')
})
