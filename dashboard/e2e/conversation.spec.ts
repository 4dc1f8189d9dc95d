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

const fence = '```'
const written = `# A plan

Some **bold** words, \`code\`, and a [link](https://example.com/a).

- one
- two
  1. deep

| who | what |
|---|---|
| Ada | waters |

${fence}ts
const answer: number = 42 // <b>
${fence}

> Said before.`

const hostile = [
  '<img src=x onerror="window.hacked = 1"><script>window.hacked = 2</script><iframe src="https://evil.example"></iframe>',
  '[press](javascript:window.hacked=3) [press](JaVaScRiPt&colon;window.hacked=4) <javascript:window.hacked=5>',
  '![pixel](https://evil.example/pixel.png) ![x](data:image/svg+xml,<svg/onload=alert(1)>)',
  '[page](/?page=keys) [page](//evil.example) [data](data:text/html,<script>window.hacked=6</script>)',
  `${fence}html\n<img src=x onerror="window.hacked = 7">\n${fence}`,
  '<a href="https://evil.example" onclick="window.hacked=8">x</a> <style>*{display:none}</style>',
  `[unclosed](${'['.repeat(3000)} ${'*'.repeat(3000)} ${'> '.repeat(500)}`,
]

async function saying(server: Server, contents: readonly object[]): Promise<string> {
  const { id } = await server.post<{ id: string }>('/sessions', {})
  await server.post(`/sessions/${id}/commands`, [
    { type: 'start' },
    { type: 'setNodeStatus', nodeId: 'a', name: 'Alice', status: 'running' },
    ...contents.map((content) => ({ type: 'addMessage', nodeId: 'a', ...content })),
  ])
  return id
}

test('messages are read as Markdown, and their code is coloured and copied', async ({ page, server, context }) => {
  await context.grantPermissions(['clipboard-read', 'clipboard-write'])
  const id = await saying(server, [{ content: written }])
  await page.goto(`${server.address}/sessions/${id}?panel=messages`)
  const log = page.getByRole('log', { name: 'Messages' })
  await expect(log.locator('strong')).toHaveText('bold')
  await expect(log.getByText('A plan')).not.toContainText('#')
  await expect(log.getByRole('listitem')).toHaveCount(3)
  await expect(log.getByRole('cell', { name: 'waters' })).toBeVisible()
  await expect(log.getByRole('link', { name: 'link' })).toHaveAttribute('rel', /noopener/)
  await expect(log.locator('.hljs-keyword')).toHaveText('const')
  await log.getByRole('button', { name: 'Copy' }).click()
  await expect(log.getByRole('button', { name: 'Copied' })).toBeVisible()
  expect(await page.evaluate(() => navigator.clipboard.readText())).toBe('const answer: number = 42 // <b>')
  expect(await page.getByRole('heading', { name: 'A plan' }).count(), 'no heading of the page').toBe(0)
})

test('hostile Markdown and HTML do nothing but stand there', async ({ page, server }) => {
  const id = await saying(
    server,
    hostile.map((content) => ({ content })),
  )
  await page.goto(`${server.address}/sessions/${id}?panel=messages`)
  const log = page.getByRole('log', { name: 'Messages' })
  await expect(log.locator('.markdown')).toHaveCount(hostile.length)
  await expect(log).toContainText('<script>window.hacked = 2</script>')
  const found = await log.evaluate((element) => ({
    made: [...element.querySelectorAll('img, script, iframe, style, object, embed, svg image, form, link')].length,
    handlers: [...element.querySelectorAll('*')].flatMap(({ attributes }) =>
      [...attributes].map(({ name }) => name).filter((name) => name.startsWith('on')),
    ),
    addresses: [...element.querySelectorAll('a')].map((link) => link.getAttribute('href')),
  }))
  expect(found.made).toBe(0)
  expect(found.handlers).toEqual([])
  for (const address of found.addresses) expect(address).toMatch(/^https:\/\/evil\.example/)
  for (const link of await log.getByRole('link').all())
    await expect(link).toHaveAttribute('rel', 'noopener noreferrer nofollow')
  expect(await page.evaluate(() => (window as { hacked?: number }).hacked)).toBeUndefined()
})

test('Markdown is read while it is written, tools are folded, and what was said is found', async ({ page, server }) => {
  const id = await saying(server, [
    { content: 'First words.' },
    {
      content: '',
      toolCalls: [{ id: 'c1', name: 'look_up', arguments: { what: 'trees' } }],
    },
    { content: '{"trees": ["oak", "elm"]}', role: 'tool', toolCallId: 'c1' },
    { content: 'The **oak** it is.' },
  ])
  await page.goto(`${server.address}/sessions/${id}?panel=messages`)
  const log = page.getByRole('log', { name: 'Messages' })
  const result = log.getByRole('group').filter({ hasText: 'Result: look_up' })
  await expect(result).toBeVisible()
  await expect(result.locator('.value')).toBeHidden()
  await result.locator('summary').click()
  await expect(result.locator('.value')).toBeVisible()

  await page.evaluate(
    ([sessionId]) =>
      new Promise<void>((resolve) => {
        const socket = new WebSocket(`${location.origin.replace('http', 'ws')}/ws`)
        const messageId = crypto.randomUUID()
        socket.onopen = () => {
          for (const text of ['Now **written', '** and\n\n```js\nlet open', ' = 1\n'])
            socket.send(JSON.stringify({ type: 'token', sessionId, nodeId: 'a', messageId, text }))
          resolve()
        }
      }),
    [id],
  )
  await expect(log.locator('strong').filter({ hasText: 'written' })).toBeVisible()
  await expect(log.locator('.code-block')).toContainText('let open = 1')
  await page.getByRole('searchbox', { name: 'Find in the messages…' }).fill('OAK')
  await expect(page.getByText('2 found')).toBeVisible()
  await expect(log.getByText('First words.')).toBeHidden()
  await expect(log).toContainText('it is.')
})
