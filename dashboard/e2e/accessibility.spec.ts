import { AxeBuilder } from '@axe-core/playwright'
import type { Page } from '@playwright/test'

import { graph, runCouncil } from '../scripts/council.mjs'
import { expect, test } from './fixtures'

async function violations(page: Page): Promise<string[]> {
  const { violations } = await new AxeBuilder({ page }).analyze()
  return violations
    .filter(({ impact }) => impact === 'serious' || impact === 'critical')
    .flatMap(({ id, nodes }) =>
      nodes.map(({ html, failureSummary }) => `${id}: ${html.slice(0, 160)}\n${failureSummary ?? ''}`),
    )
}

for (const colorScheme of ['light', 'dark'] as const) {
  test(`nothing serious stands in anybody's way (${colorScheme})`, async ({ page, server }) => {
    await page.emulateMedia({ colorScheme, reducedMotion: 'reduce' })
    const { sessionId, close } = await runCouncil(server.address, { pace: 0, until: 'review', reviews: 'approve' })
    await page.goto(server.address)
    await expect(page.getByRole('row').filter({ hasText: graph.name }).first()).toBeVisible()
    expect(await violations(page)).toEqual([])
    await page.getByRole('button', { name: 'New run' }).first().click()
    await expect(page.getByRole('dialog')).toBeVisible()
    expect(await violations(page)).toEqual([])

    await page.goto(`${server.address}/sessions/${sessionId}?node=surgeon`)
    await expect(page.getByRole('region', { name: 'Human review is waiting for you' })).toBeVisible()
    await expect(page.getByRole('log')).toContainText('Rewrote section 2')
    expect(await violations(page)).toEqual([])
    for (const panel of ['Node', 'Context', 'Journal']) {
      await page.getByRole('tab', { name: panel }).click()
      expect(await violations(page), panel).toEqual([])
    }
    await page.goto(`${server.address}/sessions/${sessionId}?revision=30&compare=10&panel=compare`)
    await expect(page.getByRole('heading', { name: /nodes changed/ })).toBeVisible()
    expect(await violations(page)).toEqual([])
    close()
  })
}

test('the language is switched for good, and the document says which it is', async ({ page, server }) => {
  await page.goto(server.address)
  await page.getByRole('button', { name: 'Switch to Chinese' }).click()
  await expect(page.getByRole('heading', { name: '会话' })).toBeVisible()
  await expect(page.locator('html')).toHaveAttribute('lang', 'zh-CN')
  await page.reload()
  await expect(page.getByRole('heading', { name: '会话' })).toBeVisible()
  await page.getByRole('button', { name: '切换到英文' }).click()
  await expect(page.getByRole('heading', { name: 'Sessions' })).toBeVisible()
})

test('tokens appear as they are written, and thinking is folded', async ({ page, server }) => {
  await page.goto(server.address)
  const session = await server.post<{ id: string }>('/sessions', { graph })
  await server.post(`/sessions/${session.id}/commands`, [
    { type: 'start' },
    { type: 'setNodeStatus', nodeId: 'recall', status: 'running' },
  ])
  await page.goto(`${server.address}/sessions/${session.id}?panel=messages`)
  await expect(page.getByText('No messages yet.')).toBeVisible()
  const writing = await page.evaluateHandle(
    (sessionId) =>
      new Promise<{ say: (text: string, isThinking?: boolean) => void }>((resolve) => {
        const socket = new WebSocket(`${location.origin.replace('http', 'ws')}/ws`)
        const messageId = crypto.randomUUID()
        const say = (text: string, isThinking = false) =>
          socket.send(
            JSON.stringify({
              type: 'token',
              sessionId,
              nodeId: 'recall',
              messageId: isThinking ? messageId.replace(/^./, '0') : messageId,
              text,
              isThinking,
            }),
          )
        socket.onopen = () => resolve({ say })
      }),
    session.id,
  )
  await writing.evaluate(({ say }) => say('First thought.\nSecond thought.', true))
  const thought = page.getByRole('button', { name: /^thinking: Second thought/ })
  await expect(thought).toHaveAttribute('aria-expanded', 'false')
  await thought.click()
  await expect(page.getByText('First thought.')).toBeVisible()
  await writing.evaluate(({ say }) => say('Once upon '))
  await expect(page.getByRole('log')).toContainText('Once upon')
  await writing.evaluate(({ say }) => say('a time'))
  await expect(page.getByRole('log')).toContainText('Once upon a time')
  await expect(page.getByText('writing')).toBeVisible()
})
