// Reports runs with the built `run` to a running server, steered from outside:
//
//     [RELIVE_TOKEN=KEY] node test/run-live.mjs BASE_URL
//
// Ends with 0 when all of it was as the README says, and says what was not otherwise.
import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { fileURLToPath } from 'node:url'
import { Cancelled, ReliveClient, run } from '../dist/index.js'

const [url, part] = process.argv.slice(2)
const token = process.env.RELIVE_TOKEN
const client = new ReliveClient({ url, ...(token && { getToken: token }) })
const problems = []
const options = { url, onProblem: ({ message }) => problems.push(message) }
const deadline = setTimeout(() => {
  console.error(`no end within 60 s; problems: ${JSON.stringify(problems)}`)
  process.exit(1)
}, 60_000)

async function ask(path, body) {
  const init = { method: 'POST', headers: { 'content-type': 'application/json' }, body: JSON.stringify(body) }
  const answer = await client.fetch(`/api/v1${path}`, body === undefined ? undefined : init)
  assert.ok(answer.ok, `${path}: ${answer.status} ${await answer.clone().text()}`)
  return answer.json()
}

/** Asks until the answer is as expected. */
async function until(path, isSo) {
  for (;;) {
    const answer = await ask(path).catch(() => undefined)
    if (answer !== undefined && isSo(answer)) return answer
    await new Promise((resolve) => setTimeout(resolve, 20))
  }
}

async function everything() {
  let outer
  const total = await run('Everything', { ...options, tags: ['live'], inputs: { day: 3 } }, async (current) => {
    outer = current.id
    const rows = await current.node('fetch', { kind: 'tool', input: { table: 'orders' } }, async (node) => {
      node.progress(0.5)
      node.log('half way', 'warn', { page: 2 })
      node.attributes({ rows: 42 })
      node.usage({ model: 'gpt-4o-mini', inputTokens: 3, outputTokens: 4 })
      node.message('', { toolCalls: [{ id: 'c', name: 'search', arguments: { text: 'tea' } }] })
      await node.node('page', { kind: 'retriever' }, (step) => step.output([1, 2]))
      node.output({ rows: 42 })
      return 42
    })
    await Promise.all(['a', 'b'].map((key) => current.node('score', { key }, (node) => node.output(key))))
    await current.node('skipped', (node) => node.skip())
    await current.node('child', (node) => run('Child', { ...options, parent: node }, () => {}))
    current.memory('Orders are up.')
    current.proposal({ buy: 'tea' })
    current.labels({ tags: ['live', 'done'] })
    current.outputs({ rows })
    return rows
  })
  assert.equal(total, 42)
  const session = await ask(`/sessions/${outer}`)
  assert.equal(session.status, 'completed')
  assert.deepEqual(session.tags, ['live', 'done'])
  const { nodes } = session
  assert.deepEqual(Object.keys(nodes).sort(), ['child', 'fetch', 'fetch/page', 'score#a', 'score#b', 'skipped'])
  assert.equal(nodes.fetch.kind, 'tool')
  assert.deepEqual(nodes.fetch.attributes, { rows: 42 })
  assert.equal(nodes['fetch/page'].parentNodeId, 'fetch')
  assert.equal(nodes.skipped.status, 'skipped')
  const { logs } = await ask(`/sessions/${outer}/logs`)
  assert.deepEqual(
    logs.map(({ level, text, attributes }) => [level, text, attributes]),
    [['warn', 'half way', { page: 2 }]],
  )
  const { messages } = await ask(`/sessions/${outer}/messages`)
  assert.equal(messages[0].toolCalls[0].name, 'search')
  const children = await ask(`/sessions?parentSessionId=${outer}`)
  assert.deepEqual(
    children.sessions.map(({ name, parentNodeId }) => [name, parentNodeId]),
    [['Child', 'child']],
  )
}

async function steered() {
  const heard = []
  await run('Steered', options, async (current) => {
    await until(`/sessions/${current.id}`, ({ status }) => status === 'running')
    await ask(`/sessions/${current.id}/control`, { action: 'pause' })
    while (!current.isPaused) await new Promise((resolve) => setImmediate(resolve))
    const held = current.node('held', () => heard.push('held'))
    heard.push('resumed')
    await ask(`/sessions/${current.id}/control`, { action: 'resume' })
    await held
    const review = current.node('review', (node) => node.review({ text: 'Less is more.' }))
    const isSuspended = ({ nodes }) => nodes.review?.status === 'suspended'
    await until(`/sessions/${current.id}`, isSuspended)
    const draft = await ask(`/sessions/${current.id}/nodes/review`)
    assert.deepEqual(draft.output, { text: 'Less is more.' })
    await ask(`/sessions/${current.id}/review`, { nodeId: 'review', action: 'modify', data: { text: 'Less.' } })
    const { action, isApproved, data } = await review
    assert.deepEqual([action, isApproved, data], ['modify', true, { text: 'Less.' }])
    // A second answer to the same node.
    const signal = current.node('review', (node) => node.waitForSignal())
    await until(`/sessions/${current.id}`, ({ nodes }) => isSuspended({ nodes }) && nodes.review.attempt === 2)
    const command = { type: 'signal', nodeId: 'review', payload: { go: true } }
    await ask(`/sessions/${current.id}/commands`, command)
    assert.deepEqual(await signal, { go: true })
  })
  assert.deepEqual(heard, ['resumed', 'held'])

  let id
  const cancelled = run('Cancelled', options, async (current) => {
    id = current.id
    await until(`/sessions/${id}`, ({ status }) => status === 'running')
    const ended = new Promise((resolve) => current.signal.addEventListener('abort', resolve))
    await ask(`/sessions/${id}/control`, { action: 'cancel' })
    await ended
    await current.node('late', () => assert.fail('it began'))
  })
  await assert.rejects(cancelled, Cancelled)
  assert.equal((await ask(`/sessions/${id}`)).status, 'cancelled')
}

/** A viewer sees a message word by word. */
async function written() {
  await run('Written', options, async (current) => {
    await current.node('write', async (node) => {
      await until(`/sessions/${current.id}`, ({ nodes }) => nodes.write !== undefined)
      const answer = await client.fetch(`/api/v1/sessions/${current.id}/stream?messages=true`)
      const reader = answer.body.pipeThrough(new TextDecoderStream()).getReader()
      let text = ''
      const shown = async (wanted) => {
        while (!wanted.test(text)) {
          const { done, value } = await reader.read()
          assert.ok(!done, text)
          text += value
        }
      }
      await shown(/event: snapshot/)
      const message = node.writing({ agentId: 'poet' })
      message.write('Less ')
      await shown(/event: token\n.*"text":"Less "/s)
      message.write('is more.')
      message.close()
      await shown(/event: message\n.*"content":"Less is more."/s)
      await reader.cancel()
    })
  })
}

/** The run of a program that was killed is stalled; while it lived it was not. */
async function killed() {
  const child = spawn(process.execPath, [fileURLToPath(import.meta.url), url, 'held'], {
    stdio: ['ignore', 'pipe', 'inherit'],
  })
  const id = await new Promise((resolve, reject) => {
    child.stdout.once('data', (text) => resolve(String(text).trim()))
    child.once('exit', () => reject(new Error('it ended')))
  })
  const path = `/sessions/${id}`
  const { driverSeenAt } = await until(path, (session) => session.driverSeenAt !== undefined)
  // Beyond the end of the lease that it began with.
  const later = Date.parse(driverSeenAt) + 7_000
  const living = await until(path, ({ isStalled }) => isStalled === true || Date.now() > later)
  assert.notEqual(living.isStalled, true)
  child.removeAllListeners('exit').kill('SIGKILL')
  const stalled = await until(path, ({ isStalled }) => isStalled === true)
  assert.equal(stalled.status, 'running')
}

if (part === 'held') {
  await run('Held', { ...options, leaseSeconds: 5 }, (current) => {
    console.log(current.id)
    return new Promise(() => {})
  })
} else {
  await Promise.all([everything(), steered(), written(), killed()])
  assert.deepEqual(problems, [])
  console.log('ok')
  client.close()
  clearTimeout(deadline)
}
