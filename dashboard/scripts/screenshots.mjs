// The pictures of the README: a real server, a real run, the real page.
import { execFileSync, spawn } from 'node:child_process'
import { chmodSync, mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { fileURLToPath } from 'node:url'

import { chromium } from '@playwright/test'

import { runCouncil } from './council.mjs'

const repository = fileURLToPath(new URL('../..', import.meta.url))
const binary =
  process.env.RELIVE_BINARY ?? join(process.env.CARGO_TARGET_DIR ?? join(repository, 'target'), 'debug/relive')
const pictures = process.env.PICTURES ?? join(repository, 'docs')
const executablePath =
  process.env.CHROMIUM ??
  execFileSync('sh', ['-c', 'command -v chromium || command -v google-chrome'], { encoding: 'utf8' }).trim()

const folder = mkdtempSync(join(tmpdir(), 'relive-pictures-'))
// The server's PostgreSQL may run as another user, who has to get there.
chmodSync(folder, 0o755)
const { DATABASE_URL: _, ...environment } = process.env
const server = spawn(binary, ['serve', '--listen', '127.0.0.1:0', '--data-dir', join(folder, 'data')], {
  cwd: repository,
  env: { ...environment, RELIVE_LOG: 'error' },
  stdio: ['ignore', 'pipe', 'inherit'],
})
const address = await new Promise((resolve, reject) => {
  createInterface({ input: server.stdout }).on('line', (line) => resolve(line.replace(/^listening on /, '')))
  server.once('exit', (code) => reject(new Error(`the server ended with ${code}`)))
})
const browser = await chromium.launch({ executablePath, args: process.getuid?.() === 0 ? ['--no-sandbox'] : [] })

async function open(path, colorScheme, viewport = { width: 1440, height: 900 }) {
  const context = await browser.newContext({ viewport, colorScheme, deviceScaleFactor: 2, locale: 'en-US' })
  const page = await context.newPage()
  await page.goto(address + path)
  return page
}

/** A page has few colours: with 256 of them a picture is a third as large, and looks the same. */
function pack(path) {
  try {
    execFileSync('pngquant', ['--force', '--skip-if-larger', '--speed=1', '--quality=80-98', '--output', path, path])
  } catch (cause) {
    console.warn(`not packed, since pngquant ${cause.code === 'ENOENT' ? 'is not installed' : 'failed'}: ${path}`)
  }
}

const take = async (page, name) => {
  const path = join(pictures, `${name}.png`)
  await page.screenshot({ path, animations: 'disabled' })
  await page.context().close()
  pack(path)
  console.log(`${name}.png`)
}

let reviewed
try {
  // Something for the list: runs that have ended in different ways.
  execFileSync(binary, ['run', 'examples/tour.json', '--server', address], { cwd: repository, stdio: 'ignore' })
  reviewed = spawn(binary, ['run', 'examples/review.json', '--server', address], { cwd: repository, stdio: 'ignore' })
  const relived = await runCouncil(address, { pace: 1, reviews: 'approve' })
  relived.close()

  // A run with somebody looking on, who sees the words as they come.
  const light = await open('/', 'light')
  const dark = await open('/', 'dark')
  const run = runCouncil(address, { pace: 0.8, until: 'writing', reviews: 'approve' })
  // The one that has ended is in the list, too.
  for (const page of [light, dark]) {
    await page
      .locator('.table-body [role=row]', { hasText: /Council[\s\S]*running/ })
      .first()
      .locator('a')
      .first()
      .click()
  }
  const { sessionId, close } = await run
  const waiting = await runCouncil(address, { pace: 0.5, until: 'review' })
  for (const page of [light, dark]) {
    await page.getByRole('button', { name: /^Surgeon, running, attempt 2/ }).click()
    await page.getByRole('tab', { name: 'Messages' }).click()
    await page.waitForTimeout(400)
  }
  await take(light, 'session-light')
  await take(dark, 'session-dark')

  const review = await open(`/sessions/${waiting.sessionId}?panel=messages`, 'light')
  await review.getByRole('region', { name: /is waiting for you/ }).waitFor()
  await review.waitForTimeout(800)
  await take(review, 'review')
  const replay = await open(`/sessions/${relived.sessionId}?revision=95&panel=context`, 'dark')
  await replay.getByText('replay', { exact: true }).waitFor()
  await replay.waitForTimeout(800)
  await take(replay, 'replay')
  const list = await open('/', 'light', { width: 1440, height: 560 })
  await list.getByRole('row').nth(3).waitFor()
  await list.waitForTimeout(500)
  await take(list, 'sessions')
  const narrow = await open(`/sessions/${sessionId}`, 'light', { width: 420, height: 900 })
  await narrow.locator('.node-card', { hasText: 'Surgeon' }).waitFor()
  await narrow.waitForTimeout(800)
  await take(narrow, 'narrow')
  close()
  waiting.close()
} finally {
  // It waits for its review, which nobody gives.
  reviewed?.kill('SIGTERM')
  await browser.close()
  const ended = new Promise((resolve) => server.once('exit', resolve))
  server.kill('SIGTERM')
  await ended
  rmSync(folder, { recursive: true, force: true })
}
