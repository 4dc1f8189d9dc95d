// A run of the built-in engine with agents, rounds, scores and a review, as a person sees and steers it.
import { readFileSync } from 'node:fs'
import { join } from 'node:path'

import { test as base, expect } from './fixtures'
import { ModelEndpoint } from './model'
import { repository, Server } from './server'

const test = base.extend<object, { model: ModelEndpoint }>({
  model: [
    async ({}, use) => {
      let grades = 0
      const model = await ModelEndpoint.start((prompt, system) => {
        if (system.includes('Be kind to plans'))
          return {
            thinking: 'It is short.\nWhat else is good about it?',
            text: 'It is short, and it can be begun today.',
          }
        if (system.includes('what is wrong')) return { text: 'Nobody is named who does it.' }
        if (system.includes('You grade')) {
          grades += 1
          return { text: JSON.stringify({ score: grades === 1 ? 62 : 95, reasons: ['tried'] }) }
        }
        return {
          text: prompt.includes('Ada does it')
            ? 'Ada does it, and begins on Monday.'
            : 'Plant a tree. Somebody waters it.',
        }
      })
      await use(model)
      model.close()
    },
    { scope: 'worker' },
  ],
  server: [
    async ({ model }, use) => {
      const server = await Server.start(model.settings)
      await use(server)
      await server.close()
    },
    { scope: 'worker', timeout: 60_000 },
  ],
})

/** The optimizing workflow, one of its agents from the catalog. */
async function storeWorkflow(server: Server): Promise<void> {
  const agent = await server.post<{ id: string }>('/agents', { name: 'Grace', personaPrompt: 'Be kind to plans.' })
  const graph = JSON.parse(readFileSync(join(repository, 'examples/optimize.json'), 'utf8')) as {
    nodes: Record<string, { properties?: Record<string, unknown> }>
  }
  const { personaPrompt: _, ...own } = graph.nodes['for']?.properties ?? {}
  Object.assign(graph.nodes['for'] ?? {}, { properties: { ...own, agent_uuid: agent.id } })
  await server.post('/workflows', { name: 'Optimize', graph })
}

test('agents speak by name, rounds are counted and scored, reviews are answered', async ({ page, server, model }) => {
  await storeWorkflow(server)
  model.hold()
  await page.goto(server.address)
  await page.getByRole('button', { name: 'New run' }).first().click()
  const dialog = page.getByRole('dialog', { name: 'New run' })
  await dialog.getByLabel('Proposal').fill('Plant a tree')
  await dialog.getByRole('button', { name: 'Start', exact: true }).click()
  await expect(page.getByRole('heading', { name: 'Optimize' })).toBeVisible()

  // Both speak at once; what one thinks is folded to its last line, and its name stands by its words.
  await expect(page.getByRole('button', { name: /^In favour, running/ })).toBeVisible()
  await expect(page.getByRole('button', { name: /^Against, running/ })).toBeVisible()
  const favour = page.getByRole('log').getByRole('region', { name: 'In favour' })
  await expect(favour.getByText('It is', { exact: false }).first()).toBeVisible()
  await expect(favour).toContainText('writing')
  model.release()
  await expect(favour).toContainText('It is short, and it can be begun today.')
  await expect(favour.getByText('Grace')).toBeVisible()
  await expect(favour.getByRole('button', { name: 'thinking: What else is good about it?' })).toBeVisible()

  // The review shows the rewritten proposal. What it is edited to is the proposal from then on.
  const review = page.getByRole('region', { name: 'Your turn is waiting for you' })
  await expect(review.getByRole('region', { name: 'Draft' })).toHaveText('Plant a tree. Somebody waters it.')
  await review.getByRole('textbox', { name: 'Your name' }).fill('Lin')
  await review.getByRole('textbox', { name: 'Comment' }).fill('Say who')
  await review.getByRole('button', { name: 'Edit' }).click()
  await review.getByRole('textbox', { name: 'Draft' }).fill('Plant a tree. Ada does it.')
  await review.getByRole('button', { name: 'Send edited text' }).click()

  // Not good enough: once more around. This time it is skipped, which this review allows.
  await expect(page.getByRole('button', { name: /^Your turn, suspended, attempt 2/ })).toBeVisible()
  await expect(review.getByRole('region', { name: 'Draft' })).toHaveText('Ada does it, and begins on Monday.')
  await expect(review).toContainText('Round 2')
  await expect(review.getByRole('textbox', { name: 'Your name' })).toHaveValue('Lin')
  await page.getByRole('tab', { name: 'Context' }).click()
  await expect(page.getByRole('img', { name: /62/ })).toBeVisible()
  await review.getByRole('button', { name: 'Skip' }).click()
  await expect(page.locator('.app-bar .chip.completed')).toBeVisible()
  await expect(page.getByRole('img', { name: /62.*95/ })).toBeVisible()
  await expect(page.getByRole('tabpanel')).toContainText('gpt-4o-mini')

  const id = new URL(page.url()).pathname.split('/').at(-1)
  const { proposal } = await server.get<{ proposal: unknown }>(`/sessions/${id}/entity`)
  expect(proposal).toBe('Ada does it, and begins on Monday.')
  const { output } = await server.get<{ output: { review: unknown } }>(`/sessions/${id}/nodes/review`)
  expect(output.review).toEqual({ action: 'skip', reviewer: 'Lin' })

  // Relived, the first round is as it was: one score, and nothing of the second is said yet.
  await page.getByRole('tab', { name: 'Journal' }).click()
  await page.getByRole('region', { name: 'Journal' }).hover()
  await page.mouse.wheel(0, -10_000)
  await expect(page.getByRole('button', { name: /^Go to revision 1:/ })).toBeVisible()
  await page
    .getByRole('button', { name: /^Go to revision \d+: Your turn review: edited/ })
    .first()
    .click()
  await expect(page.getByText('replay', { exact: true })).toBeVisible()
  await expect(page.getByRole('button', { name: /^Grade, pending$/ })).toBeVisible()
  await page.getByRole('tab', { name: 'Messages' }).click()
  await expect(page.getByRole('log')).toContainText('Somebody waters it')
  await expect(page.getByRole('log')).not.toContainText('begins on Monday')
})
