import type { Page } from '@playwright/test'

import { expect, test } from './fixtures'
import type { Server } from './server'

/** The conversation as it is read: who speaks, and what is said. */
function spoken(page: Page): Promise<string[]> {
  return page
    .getByRole('log', { name: 'Messages' })
    .getByRole('region')
    .evaluateAll((groups) =>
      groups.flatMap((group) =>
        [...group.querySelectorAll('.message')].map(
          (message) => `${group.getAttribute('aria-label')}: ${message.textContent?.trim()}`,
        ),
      ),
    )
}

test('what is said stands in the order in which it was said', async ({ page, server }) => {
  const { id } = await server.post<{ id: string }>('/sessions', {})
  const set = (nodeId: string, name: string) => ({ type: 'setNodeStatus', nodeId, name, status: 'running' })
  await server.post(`/sessions/${id}/commands`, [{ type: 'start' }, set('a', 'Alice'), set('b', 'Bob')])
  const said: string[] = []
  for (let line = 1; line <= 12; line += 1) {
    const [nodeId, name] = line % 2 === 1 ? ['a', 'Alice'] : ['b', 'Bob']
    said.push(`${name}: line ${line}`)
    await server.post(`/sessions/${id}/commands`, { type: 'addMessage', nodeId, content: `line ${line}` })
  }
  await page.goto(`${server.address}/sessions/${id}?panel=messages`)
  await expect(page.getByText('line 12')).toBeVisible()
  expect(await spoken(page)).toEqual(said)

  // Neighbours stand together, whether they were there or come now.
  for (const content of ['line 13', 'line 14'])
    await server.post(`/sessions/${id}/commands`, { type: 'addMessage', nodeId: 'b', content })
  await expect(page.getByText('line 14')).toBeVisible()
  const last = page.getByRole('log').getByRole('region').last()
  await expect(last).toContainText('line 12')
  await expect(last).toContainText('line 14')
})

async function twoRounds(server: Server): Promise<{ id: string; revision: number }> {
  const { id } = await server.post<{ id: string }>('/sessions', {})
  const round = (content: string) => [
    { type: 'setNodeStatus', nodeId: 'writer', name: 'Writer', status: 'running' },
    { type: 'addMessage', nodeId: 'writer', content, tokenCount: 44 },
    { type: 'setNodeStatus', nodeId: 'writer', status: 'completed' },
  ]
  await server.post(`/sessions/${id}/commands`, [{ type: 'start' }, ...round('The first version.')])
  await server.post(`/sessions/${id}/commands`, round('The second version.'))
  const { revision } = await server.get<{ revision: number }>(`/sessions/${id}`)
  return { id, revision }
}

test('a fork, and a fork of it, keep the rounds of the run that they come from apart', async ({ page, server }) => {
  const parent = await twoRounds(server)
  const fork = await server.post<{ id: string; revision: number }>(`/sessions/${parent.id}/fork`, {
    revision: parent.revision,
  })
  const again = await server.post<{ id: string }>(`/sessions/${fork.id}/fork`, { revision: fork.revision })
  for (const { id } of [parent, fork, again]) {
    await page.goto(`${server.address}/sessions/${id}?panel=messages`)
    const rounds = page.getByRole('log').getByRole('region', { name: 'Writer' })
    await expect(rounds).toHaveCount(2)
    await expect(rounds.first()).toContainText('The first version.')
    await expect(rounds.first()).toContainText('44 tokens')
    await expect(rounds.first()).not.toContainText('×2')
    await expect(rounds.last()).toContainText('×2')
  }
})
