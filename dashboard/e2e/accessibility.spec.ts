import type { Page } from '@playwright/test'

import { graph, runCouncil } from '../scripts/council.mjs'
import { violations } from './axe'
import { expect, test } from './fixtures'

/** Everything that opens in the list, or over it. */
async function lookAtTheList(page: Page, look: (where: string) => Promise<void>): Promise<void> {
  for (const menu of ['Any time', 'Tags', 'Columns', 'Views', 'Menu']) {
    await page.getByRole('button', { name: menu, exact: true }).click()
    await expect(page.locator('.popover:popover-open')).toBeVisible()
    await look(menu)
    await page.keyboard.press('Escape')
  }
  await page
    .getByRole('button', { name: /^Children of / })
    .first()
    .click()
  await expect(page.getByRole('row').filter({ hasText: 'Of the family' }).first()).toBeVisible()
  await page
    .getByRole('checkbox', { name: /^Select / })
    .last()
    .click()
  await look('selection')
  for (const action of ['Tags…', 'Delete']) {
    await page.getByRole('region', { name: 'Selected runs' }).getByRole('button', { name: action, exact: true }).click()
    await expect(page.getByRole('dialog')).toBeVisible()
    await look(action)
    await page.keyboard.press('Escape')
  }
  // What an engine elsewhere runs cannot be run again here.
  await page.getByRole('button', { name: 'Run again' }).click()
  await expect(page.getByRole('dialog')).toContainText('could not be run again')
  await look('failures')
  await page.keyboard.press('Escape')
  await page.keyboard.press('Control+k')
  await expect(page.getByRole('option').first()).toBeVisible()
  await look('palette')
  await page.keyboard.press('Escape')
  await page.getByRole('button', { name: 'pending', exact: true }).focus()
  await page.keyboard.press('?')
  await expect(page.getByRole('dialog', { name: 'Keyboard shortcuts' })).toBeVisible()
  await look('shortcuts')
  await page.keyboard.press('Escape')
  await page.getByRole('button', { name: 'pending', exact: true }).click()
  await page.getByRole('button', { name: 'Delete all that match' }).click()
  await expect(page.getByRole('dialog')).toContainText('match')
  await look('delete all')
}

for (const colorScheme of ['light', 'dark'] as const) {
  for (const [device, viewport] of [
    ['desk', { width: 1440, height: 900 }],
    ['phone', { width: 390, height: 844 }],
  ] as const) {
    test(`nothing that opens in the list stands in anybody's way (${colorScheme}, ${device})`, async ({
      page,
      server,
    }) => {
      await page.emulateMedia({ colorScheme, reducedMotion: 'reduce' })
      await page.setViewportSize(viewport)
      const tag = `seen-${colorScheme}-${device}`
      const parent = await server.post<{ id: string }>('/sessions', { name: 'A family', tags: [tag] })
      await server.post('/sessions', { name: 'Of the family', parentSessionId: parent.id, metadata: { env: 'prod' } })
      await page.goto(`${server.address}/?tag=${tag}&families=folded`)
      const found: string[] = []
      await lookAtTheList(page, async (where) => {
        for (const violation of await violations(page)) found.push(`${where}: ${violation}`)
      })
      expect(found).toEqual([])
    })

    test(`nothing stands in anybody's way (${colorScheme}, ${device})`, async ({ page, server }) => {
      await page.emulateMedia({ colorScheme, reducedMotion: 'reduce' })
      await page.setViewportSize(viewport)
      const { sessionId, close } = await runCouncil(server.address, { pace: 0, until: 'review', reviews: 'approve' })
      close()
      const found: string[] = []
      const look = async (where: string) => {
        for (const violation of await violations(page)) found.push(`${where}: ${violation}`)
      }
      await page.goto(server.address)
      await expect(page.getByRole('row').filter({ hasText: graph.name }).first()).toBeVisible()
      await look('list')
      await page.getByRole('button', { name: 'New run' }).first().click()
      await expect(page.getByRole('dialog')).toBeVisible()
      await look('new run')

      await page.goto(`${server.address}/sessions/${sessionId}?node=surgeon&panel=messages`)
      await expect(page.getByRole('region', { name: 'Human review is waiting for you' })).toBeVisible()
      await expect(page.getByRole('log')).toContainText('Rewrote section 2')
      await look('messages')
      for (const panel of await page.getByRole('tab').allTextContents()) {
        await page.getByRole('tab', { name: panel, exact: true }).click()
        await expect(page.getByRole('tabpanel')).not.toBeEmpty()
        await look(panel)
      }
      await page.getByRole('button', { name: 'Reject' }).click()
      await expect(page.getByRole('dialog')).toBeVisible()
      await look('reject')
      await page.goto(`${server.address}/sessions/${sessionId}?revision=30&compare=10&panel=compare`)
      await expect(page.getByRole('heading', { name: /nodes changed/ })).toBeVisible()
      await look('compare')
      await page.getByRole('button', { name: 'Fork from here' }).click()
      await expect(page.getByRole('dialog')).toBeVisible()
      await look('fork')
      if (device === 'desk') {
        await page.goto(`${server.address}/sessions/${sessionId}?panel=messages&reading=true`)
        await expect(page.getByRole('log')).toContainText('Rewrote section 2')
        await look('reading')
      }
      for (const other of ['inbox', 'keys', 'audit']) {
        await page.goto(`${server.address}/?page=${other}`)
        await expect(page.locator('#content')).toBeVisible()
        await look(other)
      }
      expect(found).toEqual([])
    })
  }
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
