import { expect, test } from './fixtures'
import { Server } from './server'

// A browser itself complains of a server that is gone.
test.use({ tolerated: /WebSocket connection to|Failed to load resource|ERR_CONNECTION/ })

test('a lost server leaves the picture standing, and it goes on from there when the server is back', async ({
  page,
}, info) => {
  // Its own: the others go on using theirs.
  const server = await Server.start()
  try {
    page.removeAllListeners('request')
    page.removeAllListeners('websocket')
    const session = await server.post<{ id: string }>('/sessions', {})
    const set = (nodeId: string, status: string) => ({ type: 'setNodeStatus', nodeId, status })
    await server.post(`/sessions/${session.id}/commands`, [
      { type: 'start' },
      set('first', 'completed'),
      set('second', 'running'),
    ])
    await page.goto(`${server.address}/sessions/${session.id}`)
    await expect(page.getByRole('button', { name: /^second, running/ })).toBeVisible()
    await page.evaluate(() => {
      // Every revision that was ever shown, in order, and whether the nodes were ever gone.
      const seen: number[] = []
      const state = { seen, gaps: 0 }
      Object.assign(globalThis, { shownRevisions: state })
      const look = () => {
        const text = document.querySelector('.transport-moment')?.textContent ?? ''
        const revision = Number(/revision (\d+)/.exec(text)?.[1])
        if (revision !== seen.at(-1)) seen.push(revision)
        if (document.querySelectorAll('.node-card').length < 2) state.gaps += 1
        requestAnimationFrame(look)
      }
      look()
    })

    await server.stop('SIGKILL')
    await expect(page.getByText(/connection lost · state of \d+ seconds? ago/)).toBeVisible()
    await expect(page.getByRole('button', { name: /^second, running/ })).toBeVisible()
    // Nothing says that it is live, and no clock runs.
    await expect(page.locator('.transport')).not.toContainText('Live')
    const clocks = () => page.locator('.totals, .transport-moment').allTextContents()
    const stood = await clocks()
    await page.waitForFunction((since) => performance.now() - since > 600, await page.evaluate(() => performance.now()))
    expect(await clocks()).toEqual(stood)
    // A command given now waits, and is carried out once.
    await page.getByRole('button', { name: 'Pause', exact: true }).click()

    await server.start()
    await expect(page.getByRole('status').filter({ hasText: /^live$/ })).toBeVisible({ timeout: 20_000 })
    await expect(page.locator('.app-bar .chip')).toHaveText('paused')
    await server.post(`/sessions/${session.id}/commands`, [
      { type: 'resume' },
      set('second', 'completed'),
      set('third', 'running'),
    ])
    await expect(page.getByRole('button', { name: /^third, running/ })).toBeVisible()

    const { seen, gaps } = await page.evaluate(
      () => (globalThis as unknown as { shownRevisions: { seen: number[]; gaps: number } }).shownRevisions,
    )
    expect(gaps, 'frames without the nodes').toBe(0)
    expect(seen, 'never back, never nothing').toEqual([...seen].sort((a, b) => a - b))
    const { events } = await server.get<{ events: { event: { type: string } }[] }>(`/sessions/${session.id}/events`)
    expect(events.filter(({ event }) => event.type === 'paused')).toHaveLength(1)
    info.annotations.push({ type: 'revisions shown', description: seen.join(', ') })
  } finally {
    await server.close()
  }
})

test('the space bar plays, whatever of the replay was clicked before', async ({ page, server }) => {
  const session = await server.post<{ id: string }>('/sessions', {})
  const set = (nodeId: string, status: string) => ({ type: 'setNodeStatus', nodeId, status })
  await server.post(`/sessions/${session.id}/commands`, [{ type: 'start' }, set('first', 'completed')])
  await page.goto(`${server.address}/sessions/${session.id}?revision=1`)
  await expect(page.getByRole('button', { name: 'Play', exact: true })).toBeVisible()
  const slow = page.getByRole('radio', { name: '0.5×' })
  const four = page.getByRole('radio', { name: '4×' })
  await four.click()
  await expect(four).toHaveAttribute('aria-checked', 'true')
  await page.keyboard.press('Space')
  await expect(page.locator('.transport-moment')).not.toHaveText(/revision 1$/)
  await expect(page.locator('.transport-moment')).toContainText(/revision [23]/)

  // A speed that was reached by the keyboard is chosen with it.
  await slow.focus()
  await page.keyboard.press('Space')
  await expect(slow).toHaveAttribute('aria-checked', 'true')
})
