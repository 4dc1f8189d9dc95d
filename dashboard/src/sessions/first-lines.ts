/** How one reports a run of one's own: the lines of README, for the server that shows them. */
export interface FirstLines {
  readonly language: 'curl' | 'Python' | 'TypeScript'
  readonly install: string | undefined
  readonly code: string
}

/** Where the packages look for a server that they are not told of. */
const usualAddress = 'http://127.0.0.1:7400'

const curl = (address: string) => `curl -X POST ${address}/api/v1/sessions -d '{}'
# {"id":"01a2…","status":"pending","revision":1,…}
ID=01a2…

curl -X POST ${address}/api/v1/sessions/$ID/control -d '{"action":"start"}'
curl -X PUT  ${address}/api/v1/sessions/$ID/nodes/fetch -d '{"status":"running"}'
curl -X PUT  ${address}/api/v1/sessions/$ID/nodes/fetch -d '{"status":"completed","output":{"rows":42}}'
curl -X POST ${address}/api/v1/sessions/$ID/control -d '{"action":"complete"}'`

const python = `import relive

with relive.run("Nightly ETL", tags=["etl"]) as run:
    with run.node("fetch") as node:
        node.progress(0.5)
        node.log("half way")
        node.output({"rows": 42})
print(run.url)`

const typescript = `import { run } from '@relive/types'

await run('Nightly ETL', { tags: ['etl'] }, async (run) => {
  await run.node('fetch', async (node) => {
    node.progress(0.5)
    node.log('half way')
    node.output({ rows: 42 })
  })
  console.log(run.url)
})`

export function firstLines(address: string): readonly FirstLines[] {
  const there = address === usualAddress ? '' : `export RELIVE_URL=${address}\n`
  return [
    { language: 'curl', install: undefined, code: curl(address.replace(/^http:\/\/127\.0\.0\.1(?=:)/, 'localhost')) },
    { language: 'Python', install: `${there}pip install ../relive/sdk/python`, code: python },
    { language: 'TypeScript', install: `${there}npm install ../relive/frontend-types`, code: typescript },
  ]
}
