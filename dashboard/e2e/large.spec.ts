import { setInterval } from 'node:timers/promises'

import { expect, test } from './fixtures'
import type { Server } from './server'

/** Twenty stages, each a fork into about a hundred jobs. */
async function largeRun(server: Server): Promise<{ id: string; ids: string[] }> {
  const nodes: Record<string, unknown> = { end: { id: 'end', type: 'end', name: 'End' } }
  for (let stage = 0; stage < 20; stage += 1) {
    const jobs = Array.from({ length: 99 }, (_, job) => `job${stage}-${job}`)
    nodes[`stage${stage}`] = { id: `stage${stage}`, type: 'parallel', name: `Stage ${stage + 1}`, nextIds: jobs }
    const next = stage < 19 ? `stage${stage + 1}` : 'end'
    for (const [job, id] of jobs.entries())
      nodes[id] = { id, type: 'command', name: `Job ${stage + 1}.${job + 1}`, nextIds: [next] }
  }
  const session = await server.post<{ id: string }>('/sessions', {
    graph: { name: 'Large', startNodeId: 'stage0', nodes },
  })
  await server.post(`/sessions/${session.id}/commands`, { type: 'start' })
  return { id: session.id, ids: Object.keys(nodes) }
}

test('two thousand nodes: folded at first, unfolded at will, and moved smoothly while they change', async ({
  page,
  server,
}) => {
  const { id, ids } = await largeRun(server)
  await page.goto(`${server.address}/sessions/${id}`)
  await expect(page.locator('.totals')).toContainText(`of ${ids.length} nodes`)
  await expect(page.getByRole('button', { name: /^Parallel:.*Unfold 99 nodes/ }).first()).toBeVisible()
  expect(await page.locator('.node-card').count()).toBeLessThan(60)

  // The run goes on meanwhile: fifty changes, twenty times a second.
  let isOver = false
  const changing = (async () => {
    let turn = 0
    for await (const _ of setInterval(50)) {
      if (isOver) return
      const some = ids.slice((turn * 50) % 1950, ((turn * 50) % 1950) + 50)
      const status = turn % 2 === 0 ? 'running' : 'completed'
      await server.post(
        `/sessions/${id}/commands`,
        some.map((nodeId) => ({ type: 'setNodeStatus', nodeId, status })),
      )
      turn += 1
    }
  })()

  const pan = async (what: string) => {
    const box = await page.locator('.stage').boundingBox()
    if (box === null) throw new Error('no stage')
    const [x, y] = [box.x + box.width / 2, box.y + box.height - 100]
    await page.mouse.move(x, y)
    await page.mouse.down()
    const measured = page.evaluate(
      () =>
        new Promise<{ fps: number; longest: number }>((resolve) => {
          const times: number[] = []
          const frame = (now: number) => {
            times.push(now)
            const [first = now] = times
            if (now - first < 2000) return void requestAnimationFrame(frame)
            const gaps = times.slice(1).map((time, index) => time - (times[index] ?? time))
            resolve({
              fps: Math.round(((times.length - 1) / (now - first)) * 1000),
              longest: Math.round(Math.max(...gaps)),
            })
          }
          requestAnimationFrame(frame)
        }),
    )
    let isMeasured = false
    void measured.then(() => (isMeasured = true))
    for (let step = 0; !isMeasured; step += 1)
      await page.mouse.move(x + 240 * Math.sin(step / 12), y + 80 * Math.sin(step / 7))
    await page.mouse.up()
    const { fps, longest } = await measured
    console.log(`    ${what}: ${fps} frames a second, the longest ${longest} ms`)
  }
  const viewport = page.locator('.react-flow__viewport')
  const before = await viewport.getAttribute('style')
  await pan('folded')
  expect(await viewport.getAttribute('style')).not.toBe(before)

  await page.getByRole('button', { name: 'Unfold', exact: true }).click()
  await expect(page.locator('canvas.overview.whole')).toBeVisible()
  await pan(`${ids.length} nodes, all in view`)
  // It was moved by how far the pointer came, which may be beside all nodes.
  await page.getByRole('button', { name: 'Show all', exact: true }).click()
  // Near enough to read: cards again, and only those in view.
  const larger = page.getByRole('button', { name: 'Larger' })
  await expect(async () => {
    await larger.click()
    await expect(page.locator('canvas.overview.whole')).toBeHidden({ timeout: 300 })
  }).toPass()
  await expect(page.locator('.node-card').first()).toBeVisible()
  expect(await page.locator('.node-card').count()).toBeLessThan(500)
  await pan(`${ids.length} nodes, near`)

  // Any of them is a few letters away.
  await page.getByRole('combobox', { name: 'Find a node…' }).fill('job 17.42')
  await page.keyboard.press('Enter')
  await expect(page.getByRole('heading', { name: 'Job 17.42' })).toBeVisible()
  await expect(page.locator('.node-card.selected')).toContainText('Job 17.42')
  isOver = true
  await changing
  await page.getByRole('button', { name: 'Fold', exact: true }).first().click()
  await expect(page.getByRole('button', { name: /^Parallel:/ }).first()).toBeVisible()
})
