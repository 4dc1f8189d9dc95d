import { run } from '@relive/types'

const total = await run('Report', { tags: ['etl'] }, async (run) => {
  const rows = await run.node('fetch', { kind: 'tool', input: { table: 'orders' } }, async (node) => {
    node.output({ rows: 42 })
    return 42
  })
  await run.node('summarize', async (node) => {
    await node.node('ask', { kind: 'llm' }, async (step) => {
      const message = step.writing({ agentId: 'analyst' })
      for (const word of ['Orders ', 'are ', 'up.']) message.write(word)
      message.close()
      step.usage({ model: 'gpt-4o-mini', inputTokens: 1200, outputTokens: 300 })
    })
  })
  run.context('rows', rows)
  run.outputs({ rows })
  return rows
})
console.log(total)
