// Reports a run and watches it, with the built package, in whichever runtime this is: program.mjs URL
import assert from 'node:assert/strict'
import { ReliveClient, run } from '../../frontend-types/dist/index.js'

const [url] = process.argv.slice(2)
// Node 20 has none.
const WebSocket = globalThis.WebSocket ?? (await import('../../frontend-types/node_modules/ws/wrapper.mjs')).WebSocket
const client = new ReliveClient({ url, WebSocket })

const problems = []
const seen = []
const options = { url, onProblem: (problem) => problems.push(problem.message) }
const review = await run('In a runtime', options, async (run) => {
  const ended = new Promise((resolve, reject) => {
    const watch = () =>
      client.subscribe(
        run.id,
        { mode: 'events' },
        {
          onEvent: ({ event }) => {
            seen.push([event.type, event.nodeId, event.status])
            // Somebody approves, as the dashboard does.
            if (event.status === 'suspended')
              client.command(run.id, { type: 'signal', nodeId: 'review', payload: { review: { action: 'approve' } } })
            if (event.type === 'completed') resolve()
          },
          onError: (error) => (error.code === 'not_found' ? setTimeout(watch, 20) : reject(error)),
        },
      )
    watch()
  })
  run.context('answer', 42)
  await run.node('write', async (node) => {
    node.log('half way')
    const message = node.writing()
    message.write('Less is ')
    message.write('more.')
    message.close()
    await node.node('step', (step) => step.output(1))
  })
  const review = await run.node('review', (node) => node.review('Less is more.'))
  seen.ended = ended
  return review
})
await seen.ended
client.close()
assert.deepEqual(problems, [])
assert.ok(review.isApproved)
const node = (id, status) => ['nodeStatusChanged', id, status]
assert.deepEqual(
  // What says only that the program is there may come anywhere.
  seen.filter(([type]) => type !== 'driverSeen'),
  [
    ['created', undefined, undefined],
    ['started', undefined, undefined],
    ['contextSet', undefined, undefined],
    node('write', 'running'),
    ['logAdded', 'write', undefined],
    ['messageAdded', 'write', undefined],
    node('write/step', 'running'),
    node('write/step', 'completed'),
    node('write', 'completed'),
    node('review', 'running'),
    node('review', 'suspended'),
    ['signalled', 'review', undefined],
    node('review', 'running'),
    node('review', 'completed'),
    ['completed', undefined, undefined],
  ],
)
console.log('ok')
