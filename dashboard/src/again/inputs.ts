import type { GraphDefinition } from '@relive/types'

/** Names that a form has fields for. */
const namesAtMost = 40
const reference = /\binputs\.([A-Za-z_][A-Za-z0-9_]*)|\binputs\[\s*["']([^"'\]]+)["']\s*\]/g
const template = /\{\{.*?\}\}|\{%.*?%\}/gs

/** The inputs that a graph's templates refer to, in the order of its nodes: `{{inputs.topic}}`. */
export function inputNames(graph: GraphDefinition): readonly string[] {
  const names = new Set<string>()
  const look = (value: unknown): void => {
    if (typeof value === 'string') {
      for (const [text] of value.matchAll(template))
        for (const [, dotted, quoted] of text.matchAll(reference)) names.add(dotted ?? quoted ?? '')
    } else if (typeof value === 'object' && value !== null) {
      for (const member of Object.values(value)) look(member)
    }
  }
  for (const node of Object.values(graph.nodes)) look(node.properties)
  return [...names].slice(0, namesAtMost)
}

/** The value of what was entered into a field: JSON that is not a text by its notation, any other text as it is. */
export function fieldValue(text: string): unknown {
  const trimmed = text.trim()
  if (!/^([[{]|-?\d|true$|false$|null$)/.test(trimmed)) return text
  try {
    return JSON.parse(trimmed) as unknown
  } catch {
    return text
  }
}

/** How a value is shown in a field, so that `fieldValue` gives it back. */
export function textOf(value: unknown): string {
  if (value === undefined) return ''
  if (typeof value === 'string' && Object.is(fieldValue(value), value)) return value
  return JSON.stringify(value)
}
