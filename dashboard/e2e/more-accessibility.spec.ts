import { runCouncil } from '../scripts/council.mjs'
import { violations } from './axe'
import { expect, test } from './fixtures'

const pages = ['overview', 'workflows', 'agents', 'groups', 'memories', 'schedules', 'webhooks', 'alerts', 'retention']
const forms = [
  ['workflows&id=new', undefined],
  ['agents', 'New agent'],
  ['groups', 'New group'],
  ['schedules', 'New schedule'],
  ['webhooks', 'New webhook'],
  ['alerts', 'New alert'],
  ['retention', 'Add a rule'],
] as const

for (const colorScheme of ['light', 'dark'] as const) {
  for (const [device, viewport] of [
    ['desk', { width: 1440, height: 900 }],
    ['phone', { width: 390, height: 844 }],
  ] as const) {
    test(`nothing stands in anybody's way beside the list and the runs (${colorScheme}, ${device})`, async ({
      page,
      server,
    }) => {
      // Some thirty looks at a page, each of which takes a few seconds on a busy machine.
      test.setTimeout(300_000)
      await page.emulateMedia({ colorScheme, reducedMotion: 'reduce' })
      await page.setViewportSize(viewport)
      const { sessionId, close } = await runCouncil(server.address, { pace: 0, rounds: 1, reviews: 'approve' })
      close()
      await server.post('/groups', { name: 'Research', systemPrompt: 'Be brief.' })
      await server.post('/agents', { name: 'Ada', personaPrompt: 'You weigh the arguments.' })
      await server.post('/memories', { content: 'Oaks live for centuries.' })
      const graph = { name: 'g', startNodeId: 'a', nodes: { a: { id: 'a', type: 'delay', name: 'A', properties: {} } } }
      const { id: workflowId } = await server.post<{ id: string }>('/workflows', { name: 'Nightly', graph })
      await server.post('/schedules', { workflowId, cron: '0 0 1 1 *' })
      const failures = { type: 'failures', count: 3, withinMinutes: 10 }
      await server.post('/alerts', { name: 'Nightly fails', condition: failures })
      const found: string[] = []
      const look = async (where: string) => {
        for (const violation of await violations(page)) found.push(`${where}: ${violation}`)
        const overflow = await page.evaluate(() => document.documentElement.scrollWidth - innerWidth)
        if (overflow > 0) found.push(`${where} is ${overflow} px wider than the window`)
      }
      for (const other of [
        ...pages,
        'memories&text=oaks',
        `compare&a=${sessionId}`,
        `compare&a=${sessionId}&b=${sessionId}`,
      ]) {
        await page.goto(`${server.address}/?page=${other}`)
        await expect(page.locator('#content nav')).toBeVisible()
        await expect(page.getByText(/^(Reading|Loading)…$/)).toHaveCount(0)
        await look(other)
      }
      for (const [other, button] of forms) {
        await page.goto(`${server.address}/?page=${other}`)
        if (button !== undefined) await page.getByRole('button', { name: button }).click()
        await expect(page.getByRole('button', { name: /^(Save|Create)$/ })).toBeVisible()
        await look(`${other}: ${button ?? ''}`)
      }
      expect(found).toEqual([])
    })
  }
}
