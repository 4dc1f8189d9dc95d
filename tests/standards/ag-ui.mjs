// Runs an agent of a server with the client of AG-UI.
//
// Input: {url, method?, headers?, threadId?, runs: [{runId, messages?, forwardedProps?, answers?}]}. Answers are made
// for every interrupt of the run before. Output: for each run {events, messages, state, interrupts, warnings, error?}.
import { HttpAgent, buildResumeArray } from '@ag-ui/client'
import { EventSchemas } from '@ag-ui/core/schemas'
import { text } from 'node:stream/consumers'

// A stored run is read by GET, whose answer is the same stream.
class Reader extends HttpAgent {
  requestInit(input) {
    const { headers, signal } = super.requestInit(input)
    return { method: 'GET', headers, signal }
  }
}

const { url, method = 'POST', headers = {}, threadId, runs } = JSON.parse(await text(process.stdin))
const agent = new (method === 'GET' ? Reader : HttpAgent)({ url, headers, threadId })
const results = []
const warnings = []
console.warn = (...given) => warnings.push(given.join(' '))
for (const { runId, messages = [], forwardedProps, answer } of runs) {
  const events = []
  agent.addMessages(messages)
  const interrupts = agent.pendingInterrupts
  const resume = answer && buildResumeArray(interrupts, Object.fromEntries(interrupts.map(({ id }) => [id, answer])))
  let error
  try {
    await agent.runAgent({ runId, forwardedProps, resume }, {
      onEvent({ event }) {
        EventSchemas.parse(event)
        events.push(event)
      },
    })
  } catch (thrown) {
    error = String(thrown)
  }
  const { messages: said, state, pendingInterrupts } = agent
  results.push(structuredClone({ events, messages: said, state, interrupts: pendingInterrupts, warnings: warnings.splice(0), error }))
}
console.log(JSON.stringify(results))
