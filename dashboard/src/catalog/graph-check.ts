import type { GraphDefinition, GraphNode } from '@relive/types'

import { type JsonText, readJsonText } from '../format/json-text'
import { nodeTypes, type PropertyProblem, problemsOf } from './node-types'

/** What was entered, as far as the page can tell; the server decides when it is stored. */
export interface Checked {
  /** What can be drawn of it; `undefined` while it is no graph at all. */
  readonly graph: GraphDefinition | undefined
  readonly problems: readonly Placed[]
}

export type GraphProblem =
  | { readonly kind: 'json' }
  | { readonly kind: 'shape' | 'nodeShape' }
  | { readonly kind: 'repeated'; readonly name: string }
  | { readonly kind: 'start'; readonly id: string }
  | { readonly kind: 'next'; readonly id: string; readonly to: string }
  | { readonly kind: 'id'; readonly id: string; readonly other: string }
  | { readonly kind: 'field'; readonly name: string }
  | { readonly kind: 'unreachable' | 'cycle' | 'noBody'; readonly id: string }
  | { readonly kind: 'type'; readonly type: string; readonly known: readonly string[] }
  | PropertyProblem

/** A problem, at a line that counts from 1, and at a node if it is one's. */
export interface Placed {
  readonly problem: GraphProblem
  readonly line: number
  readonly nodeId?: string
}

type Member = Readonly<Record<string, unknown>>

const isObject = (value: unknown): value is Member =>
  typeof value === 'object' && value !== null && !Array.isArray(value)
const text = (value: unknown) => (typeof value === 'string' ? value : undefined)

/** Problems that are looked for: in a large graph, one mistake can be a thousand. */
const problemsAtMost = 100

/**
 * Reads a graph as it is written, in either notation of names, for drawing it, and says what is wrong with it: what no
 * engine could take, and if it is for the built-in engine, what that would refuse.
 */
export function checkGraph(written: string): Checked {
  const read = readJsonText(written)
  if (read.problem !== undefined)
    return { graph: undefined, problems: [{ problem: { kind: 'json' }, line: read.problem.line }] }
  const { value } = read
  if (!isObject(value) || !isObject(value['nodes']))
    return { graph: undefined, problems: [{ problem: { kind: 'shape' }, line: 1 }] }
  const nodes: Record<string, GraphNode> = {}
  for (const [key, node] of Object.entries(value['nodes'])) {
    if (!isObject(node))
      return { graph: undefined, problems: [placed(read, { kind: 'nodeShape' }, ['nodes', key], key)] }
    nodes[key] = nodeOf(key, node)
  }
  const description = text(value['description'])
  const graph: GraphDefinition = {
    name: text(value['name']) ?? '',
    startNodeId: text(value['startNodeId'] ?? value['start_node_id']) ?? '',
    nodes,
    ...(description !== undefined && { description }),
  }
  const repeated = read.repeated.map(({ name, line }): Placed => ({ problem: { kind: 'repeated', name }, line }))
  const problems = [...repeated, ...problemsOfAny(read, value, value['nodes'], graph)]
  const isBuiltin = isObject(value['properties']) && value['properties']['driver'] === 'builtin'
  const isWhole = problems.length === 0
  if (isBuiltin) problems.push(...problemsOfTypes(read, graph))
  // Where edges lead nowhere, it cannot be told what they should have reached.
  if (isBuiltin && isWhole) problems.push(...problemsOfWays(read, graph))
  return { graph, problems: problems.slice(0, problemsAtMost) }
}

function placed(read: JsonText, problem: GraphProblem, path: readonly (string | number)[], nodeId?: string): Placed {
  return { problem, line: read.lineOf(path), ...(nodeId !== undefined && { nodeId }) }
}

function problemsOfAny(read: JsonText, value: Member, written: Member, { nodes, startNodeId }: GraphDefinition) {
  const problems: Placed[] = []
  const start = 'start_node_id' in value ? 'start_node_id' : 'startNodeId'
  if (nodes[startNodeId] === undefined) problems.push(placed(read, { kind: 'start', id: startNodeId }, [start]))
  for (const [key, node] of Object.entries(written)) {
    if (!isObject(node)) continue
    const field = 'node_id' in node ? 'node_id' : 'id'
    const other = text(node[field])
    if (other === undefined) problems.push(placed(read, { kind: 'field', name: 'id' }, ['nodes', key], key))
    else if (other !== key) problems.push(placed(read, { kind: 'id', id: key, other }, ['nodes', key, field], key))
    for (const name of ['type', 'name'] as const) {
      const given = node[name] ?? (name === 'type' ? node['node_type'] : undefined)
      if (text(given) === undefined) problems.push(placed(read, { kind: 'field', name }, ['nodes', key, name], key))
    }
    const list = 'next_ids' in node ? 'next_ids' : 'nextIds'
    nodes[key]?.nextIds?.forEach((to, index) => {
      if (nodes[to] !== undefined) return
      problems.push(placed(read, { kind: 'next', id: key, to }, ['nodes', key, list, index], key))
    })
    if (problems.length >= problemsAtMost) break
  }
  return problems
}

function problemsOfTypes(read: JsonText, { nodes }: GraphDefinition): readonly Placed[] {
  const known = Object.keys(nodeTypes)
  const found: Placed[] = []
  for (const { id, type, properties = {}, nextIds = [] } of Object.values(nodes)) {
    if (found.length >= problemsAtMost) break
    if (nodeTypes[type] === undefined) {
      found.push(placed(read, { kind: 'type', type, known }, ['nodes', id, 'type'], id))
      continue
    }
    for (const problem of problemsOf(type, properties))
      found.push(placed(read, problem, ['nodes', id, 'properties', problem.name], id))
    if (type === 'loop' && nextIds.length === 0) found.push(placed(read, { kind: 'noBody', id }, ['nodes', id], id))
  }
  return found
}

/** The built-in engine wants every node to be reached, and every cycle to pass through a loop. */
function problemsOfWays(read: JsonText, { nodes, startNodeId }: GraphDefinition): readonly Placed[] {
  const reached = new Set([startNodeId])
  for (const id of reached) for (const next of nodes[id]?.nextIds ?? []) reached.add(next)
  const unreachable = Object.keys(nodes)
    .filter((id) => !reached.has(id))
    .slice(0, problemsAtMost)
    .map((id) => placed(read, { kind: 'unreachable', id }, ['nodes', id], id))
  const cyclic = firstOnCycle(nodes)
  if (cyclic === undefined) return unreachable
  return [...unreachable, placed(read, { kind: 'cycle', id: cyclic }, ['nodes', cyclic], cyclic)]
}

/** A node on a cycle without a loop. Depth first, without recursion: chains can be ten thousand nodes long. */
function firstOnCycle(nodes: GraphDefinition['nodes']): string | undefined {
  const done = new Set<string>()
  const nextOf = (id: string) => (nodes[id]?.type === 'loop' ? [] : (nodes[id]?.nextIds ?? []))
  for (const start of Object.keys(nodes)) {
    const stack = [{ id: start, at: 0 }]
    const onStack = new Set([start])
    for (let top = stack.at(-1); top !== undefined; top = stack.at(-1)) {
      const next = done.has(top.id) ? undefined : nextOf(top.id)[top.at]
      top.at += 1
      if (next === undefined) {
        done.add(top.id)
        onStack.delete(top.id)
        stack.pop()
      } else if (onStack.has(next)) return next
      else if (!done.has(next)) {
        onStack.add(next)
        stack.push({ id: next, at: 0 })
      }
    }
  }
  return undefined
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
    type: text(node['type'] ?? node['node_type']) ?? '',
    name: text(node['name']) ?? id,
    nextIds: edges.map(({ to }) => to),
    properties: Object.keys(labels).length === 0 ? properties : { edgeLabels: labels, ...properties },
  }
}

/** Where the reason of a refusal belongs: at the node, the property or the member that it names. */
export function placeOfRefusal(reason: string, written: string): { line: number; nodeId?: string } {
  const read = readJsonText(written)
  const nodeId = /\bnodes? '([^']+)'/.exec(reason)?.[1]
  const property = /\bproperty '?([A-Za-z_-]+)'?/.exec(reason)?.[1]
  if (nodeId !== undefined) {
    const own = ['nodes', nodeId, 'properties']
    const spelled = property === undefined ? [] : [property, property.replace(/[A-Z]/g, (c) => `_${c.toLowerCase()}`)]
    const lines = spelled.map((name) => read.lineOf([...own, name]))
    // The lowest is that of the property, where it is written; others are of what it would be in.
    return { line: Math.max(read.lineOf(['nodes', nodeId]), ...lines), nodeId }
  }
  if (property !== undefined) return { line: read.lineOf(['properties', property]) }
  const field = /\bfield `([^`]+)`/.exec(reason)?.[1]
  const at = field === undefined ? -1 : written.indexOf(`"${field}"`)
  return { line: at < 0 ? 1 : written.slice(0, at).split('\n').length }
}
