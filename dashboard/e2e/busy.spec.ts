import type { Page } from '@playwright/test'

import { expect, test } from './fixtures'
import type { Server } from './server'

const nodeIds = ['read', 'think', 'write']

/** Rounds of every node: six events each. */
async function rounds(server: Server, id: string, from: number, to: number): Promise<void> {
  const set = (nodeId: string, status: string) => ({ type: 'setNodeStatus', nodeId, status })
  for (let round = from; round < to; round += 50) {
    const commands = Array.from({ length: Math.min(50, to - round) }, () =>
      nodeIds.flatMap((nodeId) => [set(nodeId, 'running'), set(nodeId, 'completed')]),
    )
    await server.post(`/sessions/${id}/commands`, commands.flat())
  }
}

const elements = (page: Page) => page.evaluate(() => document.querySelectorAll('*').length)
/** Points of the timeline on which something is drawn. */
const drawn = (page: Page) =>
  page.locator('canvas.gantt-bars').evaluate((canvas) => {
    const { width, height } = canvas as HTMLCanvasElement
    const pixels = (canvas as HTMLCanvasElement).getContext('2d')?.getImageData(0, 0, width, height).data ?? []
    let count = 0
    for (let at = 3; at < pixels.length; at += 4) if ((pixels[at] ?? 0) > 0) count += 1
    return count
  })

test('a run of thousands of rounds has no more elements than one of a few, and the timeline shows them', async ({
  page,
  server,
}) => {
  const { id } = await server.post<{ id: string }>('/sessions', {})
  await server.post(`/sessions/${id}/control`, { action: 'start' })
  await rounds(server, id, 0, 20)
  await page.goto(`${server.address}/sessions/${id}?panel=context`)
  await expect(page.getByRole('button', { name: /^read:/ })).toBeVisible()
  await expect.poll(() => drawn(page)).toBeGreaterThan(100)
  const before = await elements(page)
  const live = page.locator('.transport-moment')
  await rounds(server, id, 20, 1500)
  await expect(live).toContainText(/revision 9\d{3}/)
  expect(await elements(page)).toBeLessThan(before + 120)

  // And opened then, as while it went on.
  await page.reload()
  await expect(page.getByRole('button', { name: /^read:/ })).toBeVisible()
  await expect.poll(() => drawn(page)).toBeGreaterThan(100)
  expect(await elements(page)).toBeLessThan(before + 120)
})

/** What it costs to look closely: zooming and panning with thousands of bars in view, at every frame. */
test('thousands of bars are zoomed and panned, and nothing is rendered for it', async ({ page, server }) => {
  const { id } = await server.post<{ id: string }>('/sessions', {})
  await server.post(`/sessions/${id}/control`, { action: 'start' })
  await rounds(server, id, 0, 1500)
  await page.goto(`${server.address}/sessions/${id}?panel=context`)
  await expect(page.getByRole('button', { name: /^read:/ })).toBeVisible()
  await expect.poll(() => drawn(page)).toBeGreaterThan(100)
  const before = await page.locator('.timeline *').count()
  const { fps, changed } = await page.evaluate(
    () =>
      new Promise<{ fps: number; changed: number }>((resolve) => {
        const area = document.querySelector('.gantt-area')
        const names = document.querySelector('.gantt-scroll')
        if (area === null || names === null) throw new Error('there is no timeline')
        let changed = 0
        new MutationObserver((records) => (changed += records.length)).observe(names, {
          childList: true,
          subtree: true,
        })
        const { left, top, width } = area.getBoundingClientRect()
        const [clientX, clientY] = [left + width / 2, top + 10]
        const turn = (more: WheelEventInit) =>
          area.dispatchEvent(new WheelEvent('wheel', { bubbles: true, cancelable: true, clientX, clientY, ...more }))
        const began = performance.now()
        let frames = 0
        const frame = (now: number) => {
          frames += 1
          if (now - began > 3000) return resolve({ fps: frames / ((now - began) / 1000), changed })
          if (frames % 2 === 0) turn({ ctrlKey: true, deltaY: frames % 120 < 60 ? -8 : 8 })
          else turn({ deltaX: frames % 80 < 40 ? 30 : -30 })
          requestAnimationFrame(frame)
        }
        requestAnimationFrame(frame)
      }),
  )
  console.log(`    zooming and panning 4,500 bars: ${Math.round(fps)} frames a second`)
  expect(changed).toBe(0)
  // The frame on the scrubber, a tip, gaps as they come into view: a few, and none for each bar.
  expect(await page.locator('.timeline *').count()).toBeLessThan(before + 20)
})

test('a hundred and fifty events a second are drawn smoothly', async ({ page, server }) => {
  const { id } = await server.post<{ id: string }>('/sessions', {})
  await server.post(`/sessions/${id}/control`, { action: 'start' })
  await rounds(server, id, 0, 1500)
  await page.goto(`${server.address}/sessions/${id}?panel=context`)
  await expect(page.getByRole('button', { name: /^read:/ })).toBeVisible()
  let isOver = false
  const going = (async () => {
    while (!isOver) {
      const rest = new Promise((resolve) => setTimeout(resolve, 40))
      await rounds(server, id, 0, 1)
      await rest
    }
  })()
  const { fps, longest } = await page.evaluate(
    () =>
      new Promise<{ fps: number; longest: number }>((resolve) => {
        const times: number[] = []
        const frame = (now: number) => {
          times.push(now)
          const [first = now] = times
          if (now - first < 4000) return void requestAnimationFrame(frame)
          const gaps = times.slice(1).map((time, index) => time - (times[index] ?? time))
          resolve({ fps: (times.length - 1) / ((now - first) / 1000), longest: Math.max(...gaps) })
        }
        requestAnimationFrame(frame)
      }),
  )
  isOver = true
  await going
  console.log(`    150 events a second: ${Math.round(fps)} frames a second, the longest ${Math.round(longest)} ms`)
})
