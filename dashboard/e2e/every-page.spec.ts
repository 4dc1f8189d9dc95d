// Every page, filled with what is long, wide or written from the right.
import { type Crowd, crowd, names } from './crowded'
import { look, open } from './faults'
import { test as base, expect } from './fixtures'
import { Server } from './server'

const test = base.extend<object, { server: Server; has: Crowd }>({
  server: [
    async ({}, use) => {
      const server = await Server.start()
      await use(server)
      await server.close()
    },
    { scope: 'worker', timeout: 60_000 },
  ],
  has: [async ({ server }, use) => use(await crowd(server)), { scope: 'worker', timeout: 120_000 }],
})

// The browser itself remarks on what is refused or not there.
test.use({ tolerated: /status of 40[14]/ })

function pagesOf(has: Crowd): string[] {
  const failed = `/sessions/${has.failed}`
  return [
    '/',
    '/?text=nothing',
    '/?families=folded&status=failed&tag=t1',
    ...['run', 'messages', 'node', 'logs', 'context', 'journal'].map((panel) => `${failed}?panel=${panel}&node=n4`),
    `/sessions/${has.running}?panel=node&node=n17`,
    `/sessions/${has.running}?panel=messages&reading=true`,
    `${failed}?panel=node&node=n4&revision=60`,
    `${failed}?panel=compare&revision=90&compare=20`,
    `/sessions/${has.waiting}`,
    `/sessions/${has.empty}`,
    '/sessions/00000000-0000-4000-8000-000000000000',
    '/?page=inbox',
    '/?page=keys',
    ...['overview&by=tag', 'agents', 'groups', 'memories', 'memories&text=planning', 'schedules', 'retention'].map(
      (page) => `/?page=${page}`,
    ),
    ...[`workflows&id=${has.workflow}`, 'workflows&id=new', `webhooks&id=${has.webhook}`, `alerts&id=${has.alert}`].map(
      (page) => `/?page=${page}`,
    ),
    ...[has.failed, `${has.failed}&b=${has.running}`].map((runs) => `/?page=compare&a=${runs}`),
  ]
}

for (const [turn, language] of (['en', 'zh'] as const).entries()) {
  test(`every page fits, whatever is in it (${language})`, async ({ page, server, has }) => {
    test.setTimeout(600_000)
    await page.addInitScript((chosen) => localStorage.setItem('relive.language', chosen), language)
    const found: string[] = []
    for (const [index, path] of pagesOf(has).entries()) {
      await open(page, server.address + path)
      await look(page, path, turn + index, found)
    }
    expect(found).toEqual([])
  })
}

test('of a name that is written from the right the beginning is seen', async ({ page, server, has }) => {
  await page.setViewportSize({ width: 390, height: 844 })
  await page.goto(`${server.address}/sessions/${has.failed}`)
  const name = page.locator('.crumb h1')
  await expect(name).toContainText(names[3])
  const hidden = await name.evaluate((heading) => {
    const first = document.createRange()
    first.setStart(heading.firstChild ?? heading, 0)
    first.setEnd(heading.firstChild ?? heading, 1)
    const [letter, box] = [first.getBoundingClientRect(), heading.getBoundingClientRect()]
    return Math.max(letter.right - box.right, box.left - letter.left)
  })
  expect(hidden).toBeLessThanOrEqual(1)
})

test('long prompts of groups leave the other groups in view', async ({ page, server, has: _ }) => {
  await page.goto(`${server.address}/?page=groups`)
  await expect(page.getByRole('row').nth(5)).toBeInViewport({ ratio: 1 })
})
