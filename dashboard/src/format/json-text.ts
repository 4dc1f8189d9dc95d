import { findNodeAtLocation, getNodeValue, type Node, type ParseError, parseTree } from 'jsonc-parser'

/** A text that is meant to be JSON, with the places of what is in it. */
export interface JsonText {
  /** `undefined` unless the text is JSON. */
  readonly value: unknown
  /** Where it stops being JSON; lines and columns count from 1. */
  readonly problem: Position | undefined
  /** The line of the innermost part of a path that is there. */
  lineOf(path: readonly (string | number)[]): number
  /** Members that an object has twice: only the last of them counts. */
  readonly repeated: readonly { readonly name: string; readonly line: number }[]
}

export interface Position {
  readonly line: number
  readonly column: number
}

const repeatedAtMost = 20

export function readJsonText(text: string): JsonText {
  const errors: ParseError[] = []
  const root = parseTree(text, errors, { disallowComments: true, allowTrailingComma: false })
  const lineOf = (path: readonly (string | number)[]) => {
    for (let length = path.length; length > 0 && root !== undefined; length -= 1) {
      const node = findNodeAtLocation(root, [...path.slice(0, length)])
      // The line of a member is that of its name.
      if (node !== undefined)
        return positionOf(text, (node.parent?.type === 'property' ? node.parent : node).offset).line
    }
    return positionOf(text, root?.offset ?? 0).line
  }
  const first = errors[0]
  if (first !== undefined || root === undefined)
    return { value: undefined, problem: positionOf(text, first?.offset ?? 0), lineOf, repeated: [] }
  try {
    // What it reads as is decided by the browser, as everywhere else.
    return { value: JSON.parse(text) as unknown, problem: undefined, lineOf, repeated: repeatedIn(root, text) }
  } catch {
    return { value: undefined, problem: positionOf(text, 0), lineOf, repeated: [] }
  }
}

function positionOf(text: string, offset: number): Position {
  const before = text.slice(0, offset)
  const start = before.lastIndexOf('\n') + 1
  return { line: before.split('\n').length, column: offset - start + 1 }
}

function repeatedIn(root: Node, text: string): JsonText['repeated'] {
  const found: { name: string; line: number }[] = []
  const open = [root]
  for (let node = open.pop(); node !== undefined && found.length < repeatedAtMost; node = open.pop()) {
    const children = node.children ?? []
    open.push(...children)
    if (node.type !== 'object') continue
    const seen = new Set<unknown>()
    for (const member of children) {
      const key = member.children?.[0]
      if (key === undefined) continue
      const name: unknown = getNodeValue(key)
      if (seen.has(name)) found.push({ name: String(name), line: positionOf(text, key.offset).line })
      seen.add(name)
    }
  }
  return found.sort((a, b) => a.line - b.line)
}
