import type { GraphDefinition, GraphNode } from '@relive/types'

import { labelOf as givenLabel, labelAtMost } from './edges'
import type { Item } from './fold'

/** What edges are called that have no label of their own. */
export interface EdgeWords {
  readonly again: string
  readonly exit: string
  readonly yes: string
  readonly no: string
  readonly default: string
}

/**
 * What an edge is called: by the graph, or by what the type of the node at which it begins makes of it, such as again or
 * exit of a loop and the case of a branch. An edge into a folded part is called as the one that leads into it.
 */
export function labelOf(
  graph: GraphDefinition | null | undefined,
  source: Item,
  target: Item,
  words: EdgeWords,
): string | undefined {
  const node = source.kind === 'node' ? graph?.nodes[source.id] : undefined
  const ends = (node?.nextIds ?? []).filter((id) =>
    target.kind === 'node' ? id === target.id : target.region.members.has(id),
  )
  const [to] = ends
  // Several edges into one folded part have no label in common.
  if (node === undefined || to === undefined || ends.length > 1) return undefined
  const label = givenLabel(graph, source, { kind: 'node', id: to }) ?? labelByType(node, to, words)
  return label !== undefined && label.length > labelAtMost ? `${label.slice(0, labelAtMost - 1)}…` : label
}

function labelByType({ type, nextIds = [], properties = {} }: GraphNode, to: string, words: EdgeWords) {
  const at = nextIds.indexOf(to)
  if (type === 'loop') return at === 0 ? words.again : words.exit
  if (type === 'if') return at === 0 ? words.yes : words.no
  if (type !== 'switch') return undefined
  const { cases } = properties
  const found: unknown = Array.isArray(cases)
    ? cases.find((each: unknown) => isObject(each) && each['to'] === to)
    : undefined
  // The condition, without the braces of a template.
  if (isObject(found)) return String(found['when'] ?? '').replace(/^\s*\{\{\s*|\s*\}\}\s*$/g, '') || undefined
  return properties['default'] === to ? words.default : undefined
}

function isObject(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}
