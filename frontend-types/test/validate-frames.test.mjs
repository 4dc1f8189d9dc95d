import assert from 'node:assert/strict'
import { execFileSync, spawnSync } from 'node:child_process'
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { test } from 'node:test'
import { fileURLToPath } from 'node:url'
import { makeValidator } from './validator.mjs'

const directory = path.dirname(fileURLToPath(import.meta.url))
const program = path.join(directory, 'validate-frames.mjs')
const good = path.join(directory, 'fixtures', 'frames.ndjson')
const bad = path.join(directory, 'fixtures', 'bad-frames.ndjson')

const serverFrameKinds = 'subscribed,snapshot,delta,event,message,token,ack,error,end,replayState,sessions,session,pong'

test('one frame of each kind passes, and is counted', () => {
  const output = execFileSync(process.execPath, [program, good, '--require', serverFrameKinds], { encoding: 'utf8' })
  const lines = output.trim().split('\n')
  assert.ok(lines.includes('snapshot 1'), output)
  assert.ok(lines.includes('token 2'), output)
  assert.ok(lines.includes('Recorded 14'), output)
})

test('a required kind that was never seen fails', () => {
  const { status, stderr } = spawnSync(process.execPath, [program, good, '--require', 'snapshot,replayed'], {
    encoding: 'utf8',
  })
  assert.equal(status, 1)
  assert.match(stderr, /never seen: replayed/)
})

test('the first mismatch ends the run and names its line', () => {
  const folder = mkdtempSync(path.join(tmpdir(), 'relive-frames-'))
  const file = path.join(folder, 'mixed.ndjson')
  const pong = '{"type":"ServerFrame","value":{"type":"pong"}}'
  writeFileSync(file, `${pong}\n${pong.replace('}}', ',"at":1}}')}\n${pong}\n`)
  const { status, stdout, stderr } = spawnSync(process.execPath, [program, file], { encoding: 'utf8' })
  rmSync(folder, { recursive: true })
  assert.equal(status, 1)
  assert.equal(stdout, '')
  assert.match(stderr, /mixed\.ndjson:2: not a ServerFrame:\n.*"additionalProperty":"at"/)
})

test('each bad line is refused for its own reason', () => {
  const validate = makeValidator()
  for (const line of readFileSync(bad, 'utf8').trim().split('\n')) {
    const { reason, type, value } = JSON.parse(line)
    assert.throws(
      () => validate(JSON.stringify({ type, value })),
      (error) => {
        assert.ok(error.message.includes(reason), `expected "${reason}" in: ${error.message}`)
        return true
      },
      line,
    )
  }
})
