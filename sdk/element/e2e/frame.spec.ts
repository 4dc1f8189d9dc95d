import type { FrameLocator, Page } from '@playwright/test'
import { command, expect, guest, story, test } from './fixtures'
import { example, type Site } from './site'

async function open(page: Page, site: Site, text: string): Promise<FrameLocator> {
  site.pages.set('/', () => text)
  await page.goto(site.origin)
  return page.frameLocator('iframe')
}

test('a frame shows a run with a token from the fragment, which it takes out of the address', async ({
  page,
  site,
  server,
}) => {
  const id = await story(server)
  const frame = await open(page, site, example('frame.html', server.address, id, await guest(server, id)))
  await expect(frame.locator('g.node.running')).toContainText('Write')
  await command(server, id, { type: 'addMessage', nodeId: 'write', content: 'Live.' })
  await expect(frame.getByText('Live.')).toBeVisible()
  const inner = page.frames().find((found) => found.url().includes('/embed/'))
  expect(await inner?.evaluate(() => location.hash)).toBe('')
  const box = await frame.locator('relive-session').boundingBox()
  expect(box?.height).toBe(480)
})

test('the page around a frame gives the token when it is asked, and sets the moment', async ({
  page,
  site,
  server,
}) => {
  const id = await story(server)
  site.pages.set('/relive-token', () => guest(server, id))
  const text = example('frame.html', server.address, id).replace('#token=', '')
  const frame = await open(page, site, text)
  await expect(frame.locator('g.node.running')).toContainText('Write')
  await page.evaluate((origin) => {
    document.querySelector('iframe')?.contentWindow?.postMessage({ type: 'relive:moment', moment: 3 }, origin)
  }, server.address)
  await expect(frame.locator('g.node.running')).toContainText('Plan')
})

test.describe('of another site', () => {
  test.use({ tolerated: /frame-ancestors|Framing/ })

  test('a frame is not shown', async ({ page, stranger, server }) => {
    const id = await story(server)
    const frame = await open(page, stranger, example('frame.html', server.address, id, await guest(server, id)))
    await expect(frame.locator('relive-session')).toHaveCount(0)
  })
})
