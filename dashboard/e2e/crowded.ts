import { runCouncil } from '../scripts/council.mjs'
import type { Server } from './server'

const long = 'For the quarterly planning of the whole organisation, its branches and all of its partners abroad'
const unbroken =
  'arn:aws:bedrock:eu-central-1:123456789012:inference-profile/eu.anthropic.long-model-name-20261127-v1:0'
const chinese = '季度规划与预算评审委员会关于差旅费用和云服务成本的第二次讨论以及后续安排的说明'
const arabic = 'مراجعة الميزانية الفصلية لجميع الفروع والشركاء في الخارج قبل نهاية العام'
const emoji = '👩‍👩‍👧‍👦🏳️‍🌈 Ship it 🚀🚀🚀 before Friday 🎉'
export const names = [long, unbroken, chinese, arabic, emoji, 'Short', '审'] as const

/** Ten thousand letters. */
const error = `Error: connection refused by ${unbroken}\n${'    at Ledger.fetch (/srv/app/node_modules/ledger/dist/client.js:1284:31)\n'.repeat(138)}`
const text = `${long}: **${emoji}**, ${arabic}.\n\n| ${long} | ${unbroken} | ${chinese} |\n|---|---|---|\n| 1 | 2 | 3 |\n\n- ${unbroken}\n- ${chinese}\n\n\`\`\`json\n{"${unbroken}": ["${long}", "${long}"]}\n\`\`\``

const kinds = ['start', 'agent', 'tool', 'human_review', 'loop', 'command', 'end']

function graph(name: string, size: number) {
  const node = (n: number) => ({
    id: `n${n}`,
    type: kinds[n % kinds.length],
    name: names[n % names.length],
    nextIds: (n % 7 === 1 ? [n + 1, n + 2, n + 3] : [n + 1]).filter((next) => next < size).map((next) => `n${next}`),
  })
  const nodes = Object.fromEntries(Array.from({ length: size }, (_, n) => [`n${n}`, node(n)]))
  return { name, description: text, startNodeId: 'n0', nodes }
}

export interface Crowd {
  /** A run that goes on, with a review that waits, and one that has failed. */
  readonly running: string
  readonly failed: string
  readonly waiting: string
  /** One of which nothing is known yet. */
  readonly empty: string
  readonly workflow: string
  readonly webhook: string
  readonly alert: string
}

async function eventful(server: Server, name: string): Promise<string> {
  const { id } = await server.post<{ id: string }>('/sessions', {
    name,
    graph: graph(name, 24),
    proposal: text,
    tags: ['nightly', unbroken.slice(0, 60), '预算'],
    metadata: { owner: long },
  })
  const set = (n: number, status: string, more: object = {}) => ({
    type: 'setNodeStatus',
    nodeId: `n${n}`,
    status,
    ...more,
  })
  const commands: object[] = [{ type: 'start' }]
  for (let n = 0; n < 12; n += 1) {
    const model = n % 2 === 0 ? unbroken : 'gpt-4o-mini'
    commands.push(
      set(n, 'running', { attributes: { [unbroken]: long, 键: chinese } }),
      { type: 'addMessage', nodeId: `n${n}`, content: text, agentId: names[n % names.length], tokenCount: 1_234_567 },
      { type: 'addMessage', nodeId: `n${n}`, content: arabic, isThinking: true },
      {
        type: 'recordUsage',
        nodeId: `n${n}`,
        model,
        inputTokens: 12_345_678,
        outputTokens: 987_654,
        costUsd: 123.4567,
      },
      { type: 'addMemory', agentId: names[n % names.length], content: text },
      ...(['debug', 'info', 'warn', 'error'] as const).map((level) => ({
        type: 'addLog',
        nodeId: `n${n}`,
        level,
        text: level === 'error' ? error : names[n % names.length],
        attributes: { [unbroken]: unbroken },
      })),
      ...(n === 4 ? [set(n, 'failed', { error }), set(n, 'running')] : []),
      set(n, 'completed', { output: { [unbroken]: [text, { [chinese]: error }] } }),
    )
  }
  commands.push(
    { type: 'setContext', key: unbroken, value: { [long]: { [chinese]: [1, 2, { [arabic]: text }] } } },
    { type: 'setContext', key: 'score_history', value: [1, 2, 3].map((round) => ({ round, score: 60 + round * 9 })) },
    set(12, 'running', { progress: 0.4 }),
    set(17, 'running'),
    set(17, 'suspended'),
  )
  await server.post(`/sessions/${id}/commands`, commands)
  return id
}

/** Fills a server with what is long, wide, written from the right, or in large numbers. */
export async function crowd(server: Server): Promise<Crowd> {
  const groups = await all(names, (name) =>
    server.post<{ id: string }>('/groups', { name, systemPrompt: text, icon: '🌳' }),
  )
  await all(names, (name) =>
    server.post('/agents', {
      name,
      avatar: '🦉',
      description: long,
      personaPrompt: text,
      modelConfig: { model: unbroken },
    }),
  )
  const workflows = await all(names, (name, n) =>
    server.post<{ id: string }>('/workflows', { name, graph: graph(name, 9), groupId: groups[n]?.id }),
  )
  await all(names, (name) => server.post('/memories', { content: `${name}. ${text}`, metadata: { [unbroken]: long } }))
  const zones = ['America/Argentina/ComodRivadavia', 'Asia/Shanghai']
  await all(names, (name, n) =>
    server.post('/schedules', {
      workflowId: workflows[n]?.id,
      name,
      cron: n % 2 === 0 ? '0 0 1 1 *' : '15,45 9-17 * * 1-5',
      timezone: zones[n % 2],
      enabled: n % 3 > 0,
    }),
  )
  const types = ['session.failed', 'session.completed', 'session.cancelled', 'node.failed', 'review.requested']
  const webhooks = await all([`https://example.invalid/${'path/'.repeat(30)}`, 'https://example.invalid/hook'], (url) =>
    server.post<{ id: string }>('/webhooks', { url, types, filter: { tag: unbroken.slice(0, 60) } }),
  )
  const webhook = webhooks[0]?.id ?? ''
  for (let n = 0; n < 3; n += 1) await server.post(`/webhooks/${webhook}/test`, {})
  const alerts = await all(names, (name, n) =>
    server.post<{ id: string }>('/alerts', {
      name,
      condition: n % 2 === 0 ? { type: 'failures', count: 3, withinMinutes: 600 } : { type: 'budget', usdPerDay: 1.5 },
      notify: { webhookIds: webhooks.map(({ id }) => id) },
    }),
  )
  await server.put('/retention', {
    rules: [
      { olderThanDays: 3650, status: ['completed'], workflowId: workflows[0]?.id, tag: unbroken.slice(0, 60) },
      { olderThanDays: 36_500, groupId: groups[2]?.id },
    ],
  })
  await server.post('/sessions', { name: 'Empty, and a child of none' })
  await all(Array.from({ length: 120 }), async (_, n) => {
    const name = names[n % names.length] ?? ''
    const { id } = await server.post<{ id: string }>('/sessions', {
      name: `${n} ${name}`,
      workflowId: workflows[n % workflows.length]?.id,
      groupId: groups[n % groups.length]?.id,
      tags: [`t${n % 20}`, unbroken.slice(0, 60), '预算'],
    })
    const end = [{ type: 'complete' }, { type: 'fail', error }, { type: 'cancel', reason: long }, { type: 'pause' }][
      n % 4
    ]
    await server.post(`/sessions/${id}/commands`, [
      { type: 'start' },
      { type: 'setNodeStatus', nodeId: 'n0', status: 'running' },
      { type: 'recordUsage', nodeId: 'n0', model: unbroken, inputTokens: 12_345_678, outputTokens: 9, costUsd: 12.5 },
      { type: 'setNodeStatus', nodeId: 'n0', status: 'completed' },
      ...(end === undefined ? [] : [end]),
    ])
  })
  const failed = await eventful(server, `${arabic} ${emoji}`)
  await server.post(`/sessions/${failed}/commands`, [{ type: 'fail', error }])
  const running = await eventful(server, long)
  const { sessionId: waiting, close } = await runCouncil(server.address, { pace: 0, until: 'review' })
  close()
  const { id: empty } = await server.post<{ id: string }>('/sessions', {})
  return { running, failed, waiting, empty, workflow: workflows[0]?.id ?? '', webhook, alert: alerts[0]?.id ?? '' }
}

async function all<Item, Answer>(
  items: readonly Item[],
  make: (item: Item, index: number) => Promise<Answer>,
): Promise<Answer[]> {
  const made: Answer[] = []
  for (const [index, item] of items.entries()) made.push(await make(item, index))
  return made
}
