// Checks what a running server sent against the TypeScript types:
//
//     node test/validate-frames.mjs FILE [--require snapshot,delta,WorkflowSession]
//
// FILE holds one object a line: {"type": "ServerFrame", "value": {…}}. Says how many of each kind it
// found; ends with 1 at the first that does not fit its type, or when a required kind is missing,
// and with 2 when it was called wrongly.

import { createReadStream } from 'node:fs'
import { createInterface } from 'node:readline'
import { parseArgs } from 'node:util'
import { makeValidator } from './validator.mjs'

function readArguments() {
  try {
    const { values, positionals } = parseArgs({
      options: { require: { type: 'string', multiple: true, default: [] } },
      allowPositionals: true,
    })
    if (positionals.length !== 1) throw new Error('one FILE is needed')
    const required = values.require.flatMap((names) => names.split(',')).filter((name) => name !== '')
    return { file: positionals[0], required }
  } catch (error) {
    console.error(`${error.message}\nusage: validate-frames.mjs FILE [--require KIND,…]`)
    process.exit(2)
  }
}

const { file, required } = readArguments()
const validate = makeValidator()
const counts = new Map()
let number = 0
for await (const line of createInterface({ input: createReadStream(file), crlfDelay: Infinity })) {
  number += 1
  if (line.trim() === '') continue
  try {
    const kind = validate(line)
    counts.set(kind, (counts.get(kind) ?? 0) + 1)
  } catch (error) {
    console.error(`${file}:${number}: ${error.message}\n  ${line.slice(0, 2_000)}`)
    process.exit(1)
  }
}

for (const [kind, count] of [...counts].sort(([a], [b]) => (a < b ? -1 : 1))) console.log(`${kind} ${count}`)
const missing = required.filter((kind) => !counts.has(kind))
if (missing.length > 0) {
  console.error(`${file}: never seen: ${missing.join(', ')}`)
  process.exit(1)
}
