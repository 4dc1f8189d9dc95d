// Reports a run and watches it, with the built package, in whichever runtime this is: program.mjs URL
import assert from 'node:assert/strict'
import { ReliveClient, run } from '../../frontend-types/dist/index.js'

const [url] = process.argv.slice(2)
// Node 20 has none.
const WebSocket = globalThis.WebSocket ?? (await import('../../frontend-types/node_modules/ws/wrapper.mjs')).WebSocket
const client = new ReliveClient({ url, WebSocket })

const problems = []
const seen = []
await run('In a runtime', { url, onProblem: (problem) => problems.push(problem.message) }, async (run) => {
  const ended = new Promise((resolve, reject) => {
    const watch = () =>
      client.subscribe(
        run.id,
        { mode: 'events' },
        {
          onEvent: ({ event }) => {
            seen.push(event.type)
            if (event.type === 'completed') resolve()
          },
          onError: (error) => (error.code === 'not_found' ? setTimeout(watch, 20) : reject(error)),
        },
      )
    watch()
  })
  run.context('answer', 42)
  seen.ended = ended
})
await seen.ended
client.close()
assert.deepEqual(problems, [])
assert.deepEqual(seen.slice(), ['created', 'started', 'contextSet', 'completed'])
console.log('ok')
