// Drives a run with nothing but what openapi-typescript makes of the document: if a name differed from
// what travels, this would not compile, or the server would refuse it.
import assert from 'node:assert/strict'
import createClient from 'openapi-fetch'
import type { components, paths } from './build/schema.js'

type Command = components['schemas']['Command']

const client = createClient<paths>({ baseUrl: process.env.RELIVE_URL ?? 'http://127.0.0.1:7400' })

function must<T>(answer: { data?: T; error?: unknown; response: Response }): T {
  assert.ok(answer.response.ok, `${answer.response.status} ${JSON.stringify(answer.error)}`)
  return answer.data as T
}

const graph: components['schemas']['GraphDefinition'] = {
  name: 'agent loop',
  startNodeId: 'agent',
  nodes: {
    agent: { id: 'agent', type: 'agent', name: 'Agent', nextIds: ['tools'] },
    tools: { id: 'tools', type: 'tools', name: 'Tools', nextIds: ['agent'], properties: { any: ['thing'] } },
  },
}

const group = must(await client.POST('/api/v1/groups', { body: { name: 'Generated', systemPrompt: 'p' } }))
const workflow = must(await client.POST('/api/v1/workflows', { body: { name: 'loop', groupId: group.id, graph } }))
const key = { 'Idempotency-Key': crypto.randomUUID() }
const create = () =>
  client.POST('/api/v1/sessions', {
    params: { header: key },
    body: { workflowId: workflow.id, groupId: group.id, inputs: { question: 1 }, driver: 'external' },
  })
const session = must(await create())
assert.equal(must(await create()).id, session.id)

const params = { path: { id: session.id } }
must(await client.POST('/api/v1/sessions/{id}/control', { params, body: { action: 'start' } }))
const commands: Command[] = [
  { type: 'setNodeStatus', nodeId: 'agent', status: 'running', nodeType: 'agent', progress: 0.5 },
  { type: 'addMessage', nodeId: 'agent', content: 'hello', isThinking: true, tokenCount: 3, agentId: 'a' },
  { type: 'recordUsage', nodeId: 'agent', model: 'm', inputTokens: 10, outputTokens: 5, costUsd: 0.25 },
  { type: 'addMemory', content: 'remembered', metadata: { free: true } },
  { type: 'setContext', key: 'k', value: { any: [1] } },
  { type: 'setNodeStatus', nodeId: 'tools#1', status: 'running' },
  { type: 'setNodeStatus', nodeId: 'tools#1', status: 'suspended' },
]
const receipt = must(await client.POST('/api/v1/sessions/{id}/commands', { params, body: commands }))
const chunk = { nodeId: 'agent', messageId: crypto.randomUUID(), text: 'wo', isThinking: false }
must(await client.POST('/api/v1/sessions/{id}/tokens', { params, body: [chunk] }))
must(
  await client.POST('/api/v1/sessions/{id}/review', {
    params,
    body: { nodeId: 'tools#1', action: 'approve', reviewer: 'me', data: { fine: true } },
  }),
)

const stale = await client.PUT('/api/v1/sessions/{id}/nodes/{nodeId}', {
  params: { path: { id: session.id, nodeId: 'agent' }, header: { 'If-Match': `"${receipt.revision - 1}"` } },
  body: { status: 'completed', output: { answer: 42 } },
})
assert.equal(stale.response.status, 412)
assert.equal(stale.error?.code, 'revision_conflict')
for (const nodeId of ['agent', 'tools#1']) {
  const body = { status: 'completed' as const, output: { answer: 42 } }
  must(await client.PUT('/api/v1/sessions/{id}/nodes/{nodeId}', { params: { path: { id: session.id, nodeId } }, body }))
}
must(await client.POST('/api/v1/sessions/{id}/control', { params, body: { action: 'complete' } }))

const ended = must(await client.GET('/api/v1/sessions/{id}', { params }))
assert.equal(ended.status, 'completed')
assert.equal(ended.totalTokens, 15)
assert.equal(ended.nodes.tools?.status, 'completed')
const messages = must(
  await client.GET('/api/v1/sessions/{id}/messages', { params: { ...params, query: { nodeId: 'agent' } } }),
)
assert.deepEqual(
  messages.messages.map(({ content, isThinking, tokenCount }) => [content, isThinking, tokenCount]),
  [['hello', true, 3]],
)
const usage = must(await client.GET('/api/v1/sessions/{id}/usage', { params }))
assert.equal(usage.byModel.m?.inputTokens, 10)
const events = must(
  await client.GET('/api/v1/sessions/{id}/events', { params: { ...params, query: { after: 2, limit: 1 } } }),
)
const event = events.events[0]?.event
assert.ok(event?.type === 'nodeStatusChanged' && event.nodeId === 'agent')
const list = must(
  await client.GET('/api/v1/sessions', { params: { query: { groupId: group.id, status: 'completed' } } }),
)
assert.deepEqual(
  list.sessions.map(({ id }) => id),
  [session.id],
)
const cached = await client.GET('/api/v1/sessions/{id}', {
  params: { ...params, header: { 'If-None-Match': `"${ended.revision}"` } },
  parseAs: 'text',
})
assert.equal(cached.response.status, 304)
console.log('openapi-typescript: a run was driven to its end')
