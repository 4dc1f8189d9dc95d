// A debate about a budget memo, driven through the public API: what an engine of one's own would
// do. The words are written here; everything else about the run is real. Used for the pictures in
// the README and by the tests in a browser.
import { randomUUID } from 'node:crypto'

import { WebSocket } from 'ws'

export const graph = {
  name: 'Council · budget memo',
  description: 'Two agents argue, a third weighs, a fourth rewrites, a person decides; again until it is good.',
  startNodeId: 'start',
  nodes: Object.fromEntries(
    [
      ['start', 'start', 'Start', ['recall']],
      ['recall', 'memory_retrieval', 'Recall', ['affirmative', 'negative', 'sources']],
      ['affirmative', 'agent', 'Affirmative', ['adjudicator']],
      ['negative', 'agent', 'Negative', ['adjudicator']],
      ['sources', 'fact_check', 'Check sources', ['adjudicator']],
      ['adjudicator', 'agent', 'Adjudicator', ['surgeon']],
      ['surgeon', 'agent', 'Surgeon', ['review']],
      ['review', 'human_review', 'Human review', ['again']],
      ['again', 'loop', 'Again?', ['recall', 'publish']],
      ['publish', 'tool', 'Publish', ['end']],
      ['end', 'end', 'End', []],
    ].map(([id, type, name, nextIds]) => [id, { id, type, name, nextIds }]),
  ),
}

const words = {
  affirmative: [
    'The memo names one owner per line and ties each figure to its source. That makes the cut auditable in a week, which the old draft never was.',
    'Travel and cloud now cite the March ledger. With that, every line over $10k has a source, and the owner can be asked.',
  ],
  negative: [
    '两处预算假设没有来源：差旅与云成本。若按去年同期外推，缺口约为 12%。',
    'The gap is down to 3 %. What is left is the currency risk of the two contracts in euros, which the memo still does not name.',
  ],
  adjudicator: [
    'The clarity is real, and so is the gap. Rewrite section 2 with the ledger; keep the table of owners; say what a 12 % miss would cost.',
    'Good enough to decide. Name the currency risk in one sentence, then send it.',
  ],
  surgeon: [
    'Rewrote section 2 so that travel and cloud each cite the March ledger, and moved the risk table up, in front of the asks.\n\n§2  Travel: $84,200 (March ledger, line 12). Cloud: $61,900 (line 31). Owner: M. Okafor.\n§3  A miss of 12 % costs $17,500 and is covered by the reserve.',
    'Added to §3: two contracts are in euros; a move of 5 % costs $4,100, and is hedged from June on.',
  ],
}

const thoughts = {
  adjudicator: 'Weigh the missing sources against the gain in clarity…\nThe gap is known in size, so it can be priced.',
  surgeon: 'Keep the owner column, or the audit falls apart.',
}

const usage = {
  affirmative: [3120, 604],
  negative: [3180, 677],
  adjudicator: [5240, 412],
  surgeon: [4630, 986],
  sources: [2210, 120],
}

/** One connection that sends commands in order and waits for each answer. */
async function connect(server) {
  const socket = new WebSocket(`${server.replace(/^http/, 'ws')}/ws`)
  const waiting = new Map()
  const listeners = new Set()
  socket.on('message', (data) => {
    const frame = JSON.parse(String(data))
    const pending = waiting.get(frame.id)
    if (pending !== undefined) {
      waiting.delete(frame.id)
      if (frame.type === 'ack') pending.resolve(frame)
      else pending.reject(new Error(`${frame.code}: ${frame.message}`))
    }
    for (const listener of listeners) listener(frame)
  })
  await new Promise((resolve, reject) => socket.once('open', resolve).once('error', reject))
  let id = 0
  return {
    command: (sessionId, command) =>
      new Promise((resolve, reject) => {
        id += 1
        waiting.set(String(id), { resolve, reject })
        socket.send(JSON.stringify({ type: 'command', id: String(id), sessionId, commandId: randomUUID(), command }))
      }),
    send: (frame) => socket.send(JSON.stringify(frame)),
    listen: (listener) => {
      listeners.add(listener)
      return () => listeners.delete(listener)
    },
    close: () => socket.close(),
  }
}

/**
 * Creates the session and drives it. `pace` stretches all pauses; 0 leaves them out. Resolves at
 * the point named by `until`: `writing` (the surgeon's second text is half written), `review` (the
 * first review waits), or the end. A review is answered by whoever looks, and waited for.
 */
export async function runCouncil(server, { pace = 1, until = 'end', rounds = 2, reviews = 'wait' } = {}) {
  const created = await fetch(`${server}/api/v1/sessions`, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify({ graph, proposal: 'Cut the spring budget by 8 % without stopping a project.' }),
  })
  if (!created.ok) throw new Error(await created.text())
  const sessionId = (await created.json()).id
  const relive = await connect(server)
  const command = (value) => relive.command(sessionId, value)
  const status = (nodeId, value, more = {}) => command({ type: 'setNodeStatus', nodeId, status: value, ...more })
  const pause = (ms) => new Promise((resolve) => setTimeout(resolve, ms * pace))

  async function speak(nodeId, round, stopHalfway = false) {
    const messageId = randomUUID()
    const text = words[nodeId][round]
    const pieces = text.match(/\S+\s*|[^\s]/gu) ?? []
    const shown = stopHalfway ? pieces.slice(0, Math.ceil(pieces.length * 0.55)) : pieces
    for (const [index, piece] of shown.entries()) {
      relive.send({ type: 'token', sessionId, nodeId, messageId, text: piece, agentId: nodeId })
      if (index % 9 === 0)
        await status(nodeId, 'running', { progress: Math.round(((index + 1) / pieces.length) * 100) / 100 })
      await pause(24)
    }
    if (stopHalfway) return
    const tokenCount = usage[nodeId][1]
    await command({ type: 'addMessage', messageId, nodeId, agentId: nodeId, content: text, tokenCount })
  }

  async function think(nodeId) {
    const messageId = randomUUID()
    const content = thoughts[nodeId]
    for (const piece of content.match(/\S+\s*/gu) ?? []) {
      relive.send({ type: 'token', sessionId, nodeId, messageId, text: piece, agentId: nodeId, isThinking: true })
      await pause(20)
    }
    await command({ type: 'addMessage', messageId, nodeId, agentId: nodeId, content, isThinking: true, tokenCount: 31 })
  }

  async function agent(nodeId, round, { thinks = false } = {}) {
    await status(nodeId, 'running')
    await pause(260)
    if (thinks && thoughts[nodeId] !== undefined && round === 0) await think(nodeId)
    await speak(nodeId, round)
    const [inputTokens, outputTokens] = usage[nodeId]
    await command({
      type: 'recordUsage',
      nodeId,
      agentId: nodeId,
      model: nodeId === 'surgeon' ? 'gpt-4o' : 'gpt-4o-mini',
      inputTokens,
      outputTokens,
    })
    await status(nodeId, 'completed', { output: { text: words[nodeId][round] } })
  }

  async function checkSources(round) {
    await status('sources', 'running', { progress: 0 })
    for (const progress of [0.25, 0.5, 0.75]) {
      await pause(300)
      await status('sources', 'running', { progress })
    }
    if (round === 0) {
      await status('sources', 'failed', { error: 'ledger: 429 Too Many Requests, trying again' })
      await pause(300)
      await status('sources', 'running')
      await pause(350)
    }
    const [inputTokens, outputTokens] = usage.sources
    await command({ type: 'recordUsage', nodeId: 'sources', model: 'gpt-4o-mini', inputTokens, outputTokens })
    await status('sources', 'completed', { output: { checked: 14, missing: round === 0 ? ['travel', 'cloud'] : [] } })
  }

  /** Waits for somebody's answer, or gives one itself. */
  async function review() {
    const answered = new Promise((resolve) => {
      const stop = relive.listen((frame) => {
        if (frame.type !== 'event' || frame.event.type !== 'signalled') return
        stop()
        resolve(frame.event.payload)
      })
    })
    await status('review', 'running')
    const { revision } = await status('review', 'suspended')
    relive.send({ type: 'subscribe', sessionId, mode: 'events', after: revision })
    if (until === 'review') return false
    if (reviews === 'approve') {
      await pause(700)
      await command({ type: 'signal', nodeId: 'review', payload: { review: { action: 'modify', reviewer: 'Ada' } } })
    }
    const payload = await answered
    relive.send({ type: 'unsubscribe', sessionId })
    await status('review', 'running')
    await status('review', 'completed', { output: payload })
    return true
  }

  const scores = []
  const done = { sessionId, close: () => relive.close() }
  await command({ type: 'start' })
  await status('start', 'completed')
  for (let round = 0; round < rounds; round += 1) {
    await status('recall', 'running')
    await pause(200)
    await status('recall', 'completed', { output: { memories: 3 } })
    await Promise.all([agent('affirmative', round), agent('negative', round), checkSources(round)])
    await agent('adjudicator', round, { thinks: true })
    if (until === 'writing' && round === rounds - 1) {
      await status('surgeon', 'running')
      await speak('surgeon', round, true)
      return done
    }
    await agent('surgeon', round, { thinks: true })
    scores.push({ round: round + 1, score: 64 + round * 22 })
    await command({ type: 'setContext', key: 'score_history', value: [...scores] })
    await command({
      type: 'setContext',
      key: 'memo',
      value: { title: 'Spring budget', words: 1140 + round * 32, owner: 'M. Okafor' },
    })
    if (!(await review())) return done
    await status('again', 'running')
    await status('again', 'completed', { output: { again: round < rounds - 1 } })
  }
  await status('publish', 'running')
  await pause(400)
  await status('publish', 'completed', { output: { url: 'memo://spring-budget/2' } })
  await status('end', 'completed')
  await command({ type: 'complete', outputs: { score: scores.at(-1)?.score } })
  return done
}

if (process.argv[1]?.endsWith('council.mjs')) {
  const [, , server = 'http://127.0.0.1:7400', until = 'end', reviews = 'wait', pace = '1'] = process.argv
  const { sessionId } = await runCouncil(server, { until, reviews, pace: Number(pace) })
  console.log(sessionId)
  if (until === 'end') process.exit(0)
}
