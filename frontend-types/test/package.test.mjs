// The package as npm users get it: packed, and read by the tools that check packages, by bundlers, and by Node.
import assert from 'node:assert/strict'
import { execFileSync, spawnSync } from 'node:child_process'
import { mkdirSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, test } from 'node:test'
import { fileURLToPath } from 'node:url'
import { gzipSync } from 'node:zlib'
import { build } from 'esbuild'

const here = fileURLToPath(new URL('..', import.meta.url))
const bin = (name) => join(here, 'node_modules', '.bin', name)
let folder
let packed

before(() => {
  folder = mkdtempSync(join(tmpdir(), 'relive-package-'))
  // Built already; a build now would take dist/ away from other tests.
  execFileSync('npm', ['pack', '--ignore-scripts', '--silent', '--pack-destination', folder], { cwd: here })
  packed = join(folder, readdirSync(folder)[0])
  const installed = join(folder, 'node_modules/@relive/types')
  mkdirSync(installed, { recursive: true })
  execFileSync('tar', ['-xzf', packed, '--strip-components=1', '-C', installed])
})
after(() => rmSync(folder, { recursive: true, force: true }))

function run(command, ...given) {
  const { status, stdout, stderr } = spawnSync(command, given, { cwd: folder, encoding: 'utf8' })
  assert.equal(status, 0, stdout + stderr)
  return stdout
}

test('publint has nothing to say', () => {
  const said = run(bin('publint'), packed, '--strict')
  assert.match(said, /All good!/)
})

test('its types are found by every way of resolving them', () => {
  run(bin('attw'), packed, '--no-emoji', '--no-color')
})

test('it is imported and required', () => {
  const use = `
    const client = new ReliveClient({ url: 'http://127.0.0.1:1', getToken: 'x' })
    client.close()
    if (typeof run !== 'function' || typeof Stores !== 'function') throw new Error('something is missing')`
  writeFileSync(
    join(folder, 'a.mjs'),
    `import { ReliveClient, run } from '@relive/types'\nimport { Stores } from '@relive/types/stores'\n${use}`,
  )
  writeFileSync(
    join(folder, 'b.cjs'),
    `const { ReliveClient, run } = require('@relive/types')\nconst { Stores } = require('@relive/types/stores')\n${use}`,
  )
  run(process.execPath, 'a.mjs')
  run(process.execPath, 'b.cjs')
})

test('where there is no WebSocket, it says what to do', () => {
  writeFileSync(
    join(folder, 'c.mjs'),
    `import { ReliveClient } from '@relive/types'
    delete globalThis.WebSocket
    try {
      new ReliveClient({ url: 'http://127.0.0.1:1' }).subscribe('x')
    } catch (error) {
      console.log(error.message)
    }`,
  )
  assert.match(run(process.execPath, 'c.mjs'), /pass one as the option `WebSocket`/)
})

async function bundled(code) {
  const { outputFiles } = await build({
    stdin: { contents: code, resolveDir: folder },
    bundle: true,
    minify: true,
    write: false,
    format: 'esm',
    target: 'es2022',
    platform: 'browser',
    logLevel: 'silent',
  })
  return outputFiles[0]
}

// As the README says.
for (const [what, code, most] of [
  ['the client', `export { ReliveClient } from '@relive/types'`, 8 * 1024],
  ['run', `export { run } from '@relive/types'`, 7 * 1024],
  [
    'the client and the stores',
    `export { ReliveClient } from '@relive/types'\nexport { Stores } from '@relive/types/stores'`,
    11 * 1024,
  ],
]) {
  test(`${what} is small`, async () => {
    const { contents } = await bundled(code)
    const size = gzipSync(contents, { level: 9 }).length
    console.log(`${what}: ${size} bytes, compressed`)
    assert.ok(size <= most, `${size} bytes`)
  })
}

test('what is not used is left out', async () => {
  assert.equal((await bundled(`import '@relive/types'`)).text.trim(), '')
  assert.doesNotMatch((await bundled(`export { ReliveClient } from '@relive/types'`)).text, /addLog/)
  assert.doesNotMatch((await bundled(`export { run } from '@relive/types'`)).text, /WebSocket/)
  assert.ok((await bundled(`export { mergePatch } from '@relive/types'`)).text.length < 2_000)
})
