import { execFileSync, spawnSync } from 'node:child_process'
import { mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { gzipSync } from 'node:zlib'
import { expect, test } from 'vitest'

const here = join(import.meta.dirname, '..')

test('publint has nothing to say', () => {
  const folder = mkdtempSync(join(tmpdir(), 'relive-element-'))
  execFileSync('npm', ['pack', '--ignore-scripts', '--silent', '--pack-destination', folder], { cwd: here })
  const packed = join(folder, readdirSync(folder)[0] ?? '')
  const { status, stdout } = spawnSync(join(here, 'node_modules/.bin/publint'), [packed, '--strict'], {
    encoding: 'utf8',
  })
  rmSync(folder, { recursive: true })
  expect(status, stdout).toBe(0)
})

test('it is small, and can be loaded where there is no document', async () => {
  const size = gzipSync(readFileSync(join(here, 'dist/relive-session.js')), { level: 9 }).length
  console.log(`relive-session.js: ${size} bytes, compressed`)
  // As the documentation says, rounded.
  expect(Math.round(size / 1024)).toBeLessThanOrEqual(20)
  const loaded = (await import(/* @vite-ignore */ join(here, 'dist/index.js'))) as { ReliveSession?: unknown }
  expect(loaded.ReliveSession).toBeTypeOf('function')
})
