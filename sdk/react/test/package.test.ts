// The package as npm users get it.
import { execFileSync, spawnSync } from 'node:child_process'
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { gzipSync } from 'node:zlib'
import { build } from 'esbuild'
import { afterAll, beforeAll, expect, test } from 'vitest'

const here = join(import.meta.dirname, '..')
let folder: string
let packed: string

beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'relive-react-'))
  execFileSync('npm', ['pack', '--ignore-scripts', '--silent', '--pack-destination', folder], { cwd: here })
  packed = join(folder, readdirSync(folder)[0] ?? '')
  const installed = join(folder, 'node_modules/@relive/react')
  mkdirSync(installed, { recursive: true })
  execFileSync('tar', ['-xzf', packed, '--strip-components=1', '-C', installed])
  symlinkSync(join(here, '../../frontend-types'), join(folder, 'node_modules/@relive/types'))
  for (const name of ['react', 'react-dom'])
    symlinkSync(join(here, 'node_modules', name), join(folder, 'node_modules', name))
}, 60_000)
afterAll(() => rmSync(folder, { recursive: true, force: true }))

function run(command: string, ...given: string[]): string {
  const { status, stdout, stderr } = spawnSync(command, given, { cwd: folder, encoding: 'utf8' })
  expect(status, stdout + stderr).toBe(0)
  return stdout
}

test('publint and attw have nothing to say', { timeout: 60_000 }, () => {
  expect(run(join(here, 'node_modules/.bin/publint'), packed, '--strict')).toContain('All good!')
  run(join(here, 'node_modules/.bin/attw'), packed, '--no-emoji', '--no-color')
})

test('it is imported and required, and server components take it for client code', () => {
  writeFileSync(join(folder, 'a.mjs'), `import { useSession } from '@relive/react'\nif (!useSession) process.exit(1)`)
  writeFileSync(join(folder, 'b.cjs'), `if (!require('@relive/react').useSession) process.exit(1)`)
  run(process.execPath, 'a.mjs')
  run(process.execPath, 'b.cjs')
  for (const file of ['dist/index.js', 'dist/cjs/index.js']) {
    const text = readFileSync(join(folder, 'node_modules/@relive/react', file), 'utf8')
    expect(text, file).toMatch(/^("use strict";\s*)?['"]use client['"]/)
  }
})

test('it is small', async () => {
  const { outputFiles } = await build({
    stdin: { contents: `export * from '@relive/react'`, resolveDir: folder },
    bundle: true,
    minify: true,
    write: false,
    format: 'esm',
    target: 'es2022',
    external: ['react', 'react/jsx-runtime'],
    logLevel: 'silent',
  })
  const size = gzipSync(outputFiles[0]?.contents ?? '', { level: 9 }).length
  console.log(`all hooks with the client: ${size} bytes, compressed`)
  // As the README says.
  expect(size).toBeLessThanOrEqual(13 * 1024)
})
