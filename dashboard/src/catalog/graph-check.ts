import type { GraphDefinition, GraphNode } from '@relive/types'

/** What was entered, as far as the page can tell; the server decides when it is stored. */
export type Checked =
  | { readonly graph: GraphDefinition; readonly problem?: undefined }
  | { readonly problem: GraphProblem }

export type GraphProblem =
  | { readonly kind: 'json'; readonly line: number | undefined }
  | { readonly kind: 'shape' }
  | { readonly kind: 'start'; readonly id: string }
  | { readonly kind: 'next'; readonly id: string; readonly to: string }
  | { readonly kind: 'id'; readonly id: string; readonly other: string }

type Member = Readonly<Record<string, unknown>>

const isObject = (value: unknown): value is Member =>
  typeof value === 'object' && value !== null && !Array.isArray(value)
const text = (value: unknown) => (typeof value === 'string' ? value : undefined)

/** Reads a graph as it is written, in either notation of names, for drawing it. */
export function checkGraph(written: string): Checked {
  let value: unknown
  try {
    value = JSON.parse(written)
  } catch (error) {
    return { problem: { kind: 'json', line: lineOf(written, String(error)) } }
  }
  if (!isObject(value) || !isObject(value['nodes'])) return { problem: { kind: 'shape' } }
  const nodes: Record<string, GraphNode> = {}
  for (const [key, node] of Object.entries(value['nodes'])) {
    if (!isObject(node)) return { problem: { kind: 'shape' } }
    const id = text(node['id'] ?? node['node_id']) ?? key
    if (id !== key) return { problem: { kind: 'id', id: key, other: id } }
    nodes[key] = nodeOf(key, node)
  }
  const start = text(value['startNodeId'] ?? value['start_node_id']) ?? ''
  if (nodes[start] === undefined) return { problem: { kind: 'start', id: start } }
  for (const { id, nextIds = [] } of Object.values(nodes)) {
    const to = nextIds.find((next) => nodes[next] === undefined)
    if (to !== undefined) return { problem: { kind: 'next', id, to } }
  }
  const description = text(value['description'])
  return {
    graph: {
      name: text(value['name']) ?? '',
      startNodeId: start,
      nodes,
      ...(description !== undefined && { description }),
    },
  }
}

/** An edge can be written as `{to, label}`; what is drawn takes the labels from a property. */
function nodeOf(id: string, node: Member): GraphNode {
  const listed = node['nextIds'] ?? node['next_ids']
  const next = Array.isArray(listed) ? (listed as unknown[]) : []
  const edges = next.map((entry) =>
    isObject(entry)
      ? { to: text(entry['to']) ?? '', label: text(entry['label']) }
      : { to: String(entry), label: undefined },
  )
  const labels = Object.fromEntries(edges.flatMap(({ to, label }) => (label === undefined ? [] : [[to, label]])))
  const properties = isObject(node['properties']) ? node['properties'] : {}
  return {
    id,
    type: text(node['type']) ?? '',
    name: text(node['name']) ?? id,
    nextIds: edges.map(({ to }) => to),
    properties: Object.keys(labels).length === 0 ? properties : { edgeLabels: labels, ...properties },
  }
}

/** The line that a parser's message names, by a line or by a position. */
function lineOf(written: string, message: string): number | undefined {
  const line = /line (\d+)/.exec(message)?.[1]
  if (line !== undefined) return Number(line)
  const position = /position (\d+)/.exec(message)?.[1]
  if (position !== undefined) return written.slice(0, Number(position)).split('\n').length
  return /end of JSON|unterminated/i.test(message) ? written.split('\n').length : undefined
}
