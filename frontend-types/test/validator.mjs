// Checks recorded values against the types they claim to be.

import { Ajv } from 'ajv'
import { makeSchema } from './schema.mjs'

export const typeNames = ['ServerFrame', 'WorkflowSession', 'SessionSummary', 'SessionEntity', 'Recorded', 'Problem']

/** A function that takes a line `{"type", "value"}`, and gives the kind it holds or throws what is wrong. */
export function makeValidator() {
  const ajv = new Ajv({
    allErrors: true,
    discriminator: true,
    // Of the strict mode, only what catches an ignored keyword; the rest is about style.
    strictRequired: false,
    strictTypes: false,
  })
  ajv.addSchema(makeSchema(), 'relive')
  const validators = new Map(typeNames.map((name) => [name, ajv.getSchema(`relive#/definitions/${name}`)]))

  return (line) => {
    const { type, value, ...rest } = JSON.parse(line)
    const validate = validators.get(type)
    if (validate === undefined) throw new Error(`type is ${JSON.stringify(type)}, not one of ${typeNames.join(', ')}`)
    if (Object.keys(rest).length > 0)
      throw new Error(`unexpected ${Object.keys(rest).join(', ')} beside type and value`)
    if (!validate(value)) {
      const problems = validate.errors.map(({ instancePath, message, params }) => {
        return `  ${type}${instancePath} ${message} ${JSON.stringify(params)}`
      })
      throw new Error(`not a ${type}:\n${problems.join('\n')}`)
    }
    return type === 'ServerFrame' ? value.type : type
  }
}
