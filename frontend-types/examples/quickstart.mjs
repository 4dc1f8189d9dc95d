import { run } from '@relive/types'

await run('Nightly ETL', { tags: ['etl'] }, async (run) => {
  await run.node('fetch', async (node) => {
    node.progress(0.5)
    node.log('half way')
    node.output({ rows: 42 })
  })
  console.log(run.url)
})
