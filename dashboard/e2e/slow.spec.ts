import { expect, test } from './fixtures'
import type { Server } from './server'

/** Fifty stages of a hundred nodes, of which three thousand have run. */
async function largeRun(server: Server): Promise<string> {
  const nodes: Record<string, unknown> = { end: { id: 'end', type: 'end', name: 'End' } }
  for (let stage = 0; stage < 50; stage += 1) {
    const jobs = Array.from({ length: 99 }, (_, job) => `job${stage}-${job}`)
    nodes[`stage${stage}`] = { id: `stage${stage}`, type: 'parallel', name: `Stage ${stage + 1}`, nextIds: jobs }
    const next = stage < 49 ? `stage${stage + 1}` : 'end'
    for (const [job, id] of jobs.entries())
      nodes[id] = { id, type: 'command', name: `Job ${stage + 1}.${job + 1}`, nextIds: [next] }
  }
  const { id } = await server.post<{ id: string }>('/sessions', {
    graph: { name: 'Large', startNodeId: 'stage0', nodes },
  })
  await server.post(`/sessions/${id}/commands`, { type: 'start' })
  const ids = Object.keys(nodes).slice(0, 3000)
  for (let first = 0; first < ids.length; first += 100) {
    const set = (nodeId: string, status: string) => ({ type: 'setNodeStatus', nodeId, status })
    const some = ids.slice(first, first + 100)
    await server.post(
      `/sessions/${id}/commands`,
      some.flatMap((nodeId) => [set(nodeId, 'running'), set(nodeId, 'completed')]),
    )
  }
  return id
}

test('a run of five thousand nodes is there soon on a slow network', async ({ page, server }) => {
  const id = await largeRun(server)
  const answers: { path: string; bytes: number; isPacked: boolean }[] = []
  const reading: Promise<void>[] = []
  page.on('requestfinished', (request) => {
    const { pathname } = new URL(request.url())
    if (!pathname.includes('/api/')) return
    reading.push(
      (async () => {
        const [response, sizes] = await Promise.all([request.response(), request.sizes()])
        const isPacked = response?.headers()['content-encoding'] === 'gzip'
        answers.push({ path: pathname.replace(id, '…'), bytes: sizes.responseBodySize, isPacked })
      })(),
    )
  })
  // 1.6 Mbit/s and 150 ms: what is called fast 3G.
  const network = await page.context().newCDPSession(page)
  await network.send('Network.enable')
  await network.send('Network.emulateNetworkConditions', {
    offline: false,
    latency: 150,
    downloadThroughput: 200_000,
    uploadThroughput: 94_000,
  })
  const began = Date.now()
  await page.goto(`${server.address}/sessions/${id}?panel=journal`)
  await expect(page.locator('.totals')).toContainText('of 5001 nodes')
  const stated = Date.now() - began
  await expect(page.locator('.node-card, canvas.overview.whole').first()).toBeVisible()
  const drawn = Date.now() - began
  await expect(page.getByRole('button', { name: /^Go to revision 6002: / })).toBeVisible()
  await Promise.all(reading)
  const bytes = answers.reduce((sum, answer) => sum + answer.bytes, 0)
  console.log(`    the state after ${stated} ms, the graph after ${drawn} ms, ${Math.round(bytes / 1000)} KB of JSON`)
  expect(bytes, JSON.stringify(answers, undefined, 1)).toBeLessThan(330_000)
  expect(answers.filter(({ bytes, isPacked }) => bytes > 2000 && !isPacked)).toEqual([])
  // The graph alone has fifty thousand bytes.
  const large = answers.filter(({ path, bytes }) => /graph|events/.test(path) && bytes > 50_000)
  expect(large, 'the graph comes once').toHaveLength(1)
})

test('the list does without the code of a session until it has loaded', async ({ page, server }) => {
  await page.goto(server.address)
  await expect(page.getByRole('table')).toBeVisible()
  const early = await page.evaluate(() =>
    performance
      .getEntriesByType('resource')
      .filter(({ name }) => name.endsWith('.js'))
      .filter(({ startTime }) => {
        const [page] = performance.getEntriesByType('navigation') as PerformanceNavigationTiming[]
        return startTime < (page?.loadEventEnd ?? 0)
      })
      .map(({ name }) => /[^/]*$/.exec(name)?.[0].replace(/-.*/, '')),
  )
  expect(early).toContain('index')
  expect(early).not.toContain('session')
  // Then it comes, before anybody opens one.
  const loaded = () => page.evaluate(() => performance.getEntriesByType('resource').map(({ name }) => name))
  await expect.poll(async () => (await loaded()).some((name) => name.includes('session-page'))).toBe(true)
})
