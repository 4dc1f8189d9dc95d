// Makes a JSON Schema of the TypeScript types. As a program: `node test/schema.mjs [FILE]`.

import { mkdir, writeFile } from 'node:fs/promises'
import path from 'node:path'
import { fileURLToPath } from 'node:url'
import { createGenerator } from 'ts-json-schema-generator'

const directory = path.dirname(fileURLToPath(import.meta.url))

/** What the contract says of some values and TypeScript has no words for. */
const narrower = {
  Timestamp: { type: 'string', pattern: '^\\d{4}-\\d{2}-\\d{2}T\\d{2}:\\d{2}:\\d{2}\\.\\d{3}Z$' },
  SessionId: { type: 'string', pattern: '^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$' },
  Progress: { type: 'number', minimum: 0, maximum: 1 },
}
const wholeNumbers = new Map([
  ...['revision', 'forkedFromRevision', 'attempt', 'base'].map((name) => [name, 1]),
  ...['tokenCount', 'totalTokens', 'inputTokens', 'outputTokens'].map((name) => [name, 0]),
])

/** One schema of everything, with a definition for each type; an unknown field is an error in it. */
export function makeSchema() {
  const schema = createGenerator({
    path: path.join(directory, '..', 'src', 'generated', '*.ts'),
    tsconfig: path.join(directory, '..', 'tsconfig.json'),
    type: '*',
    expose: 'export',
    jsDoc: 'none',
    additionalProperties: false,
    // `npm run check` does that, and says it better.
    skipTypeCheck: true,
  }).createSchema('*')
  for (const [name, definition] of Object.entries(narrower)) {
    if (schema.definitions[name] === undefined) throw new Error(`no type ${name} to narrow`)
    schema.definitions[name] = definition
  }
  const delta = schema.definitions.ServerFrame.anyOf.find((frame) => frame.properties.type.const === 'delta')
  delta.properties.patch = patchOf(schema.definitions.WorkflowSession, schema.definitions)
  tighten(schema.definitions)
  return schema
}

/** What may stand in a merge patch: any part of the value, and `null` for what may be absent. */
function patchOf(part, definitions) {
  if (part.$ref !== undefined) return patchOf(definitions[part.$ref.replace('#/definitions/', '')], definitions)
  if (part.type !== 'object') return part
  const orNull = (inner) => ({ anyOf: [patchOf(inner, definitions), { type: 'null' }] })
  const properties = Object.entries(part.properties ?? {}).map(([name, property]) => {
    return [name, part.required?.includes(name) ? patchOf(property, definitions) : orNull(property)]
  })
  const others = part.additionalProperties
  return {
    type: 'object',
    properties: Object.fromEntries(properties),
    additionalProperties: typeof others === 'object' ? orNull(others) : others,
  }
}

function tighten(part) {
  if (typeof part !== 'object' || part === null) return
  for (const [name, property] of Object.entries(part.properties ?? {})) {
    if (wholeNumbers.has(name) && property.type === 'number') {
      part.properties[name] = { type: 'integer', minimum: wholeNumbers.get(name) }
    }
  }
  // Told which field decides, the validator names what is wrong with this kind, not with all others.
  if (part.anyOf?.every((kind) => kind.properties?.type?.const !== undefined)) {
    Object.assign(part, {
      type: 'object',
      oneOf: part.anyOf,
      discriminator: { propertyName: 'type' },
      required: ['type'],
    })
    delete part.anyOf
  }
  for (const inner of Object.values(part)) tighten(inner)
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  const text = `${JSON.stringify(makeSchema(), null, 2)}\n`
  const file = process.argv[2]
  if (file === undefined) {
    process.stdout.write(text)
  } else {
    await mkdir(path.dirname(path.resolve(file)), { recursive: true })
    await writeFile(file, text)
  }
}
