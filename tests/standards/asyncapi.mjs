// Checks an AsyncAPI document with the parser of the AsyncAPI initiative, and frames with its schemas.
//
// Input: {document, frames: [{from, frame}]}. Output: {errors, messages, invalid}: the errors of the document, the names
// of its messages, and the frames that do not fit the payload of theirs.
import { Parser } from '@asyncapi/parser'
import Ajv from 'ajv'
import { text } from 'node:stream/consumers'

const { document: source, frames } = JSON.parse(await text(process.stdin))
const { document, diagnostics } = await new Parser().parse(source)
const errors = diagnostics.filter(({ severity }) => severity === 0).map(({ code, message, path }) => `${code} ${path.join('.')}: ${message}`)
const messages = document?.components().messages().all().map((message) => message.id()) ?? []
const operations = document?.operations().all().map((operation) => operation.id()) ?? []

const ajv = new Ajv({ strict: false, validateFormats: false })
ajv.addSchema({ ...JSON.parse(source), $id: 'https://relive.invalid/asyncapi' })
const invalid = []
for (const { from, frame } of frames) {
  const validate = ajv.getSchema(`https://relive.invalid/asyncapi#/components/messages/${from}.${frame.type}/payload`)
  if (!validate?.(frame)) invalid.push({ from, frame, errors: validate?.errors ?? 'no such message' })
}
console.log(JSON.stringify({ errors, messages, operations, invalid }))
