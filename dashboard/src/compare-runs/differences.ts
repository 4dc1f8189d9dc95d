import type { ComparedNode, GraphDefinition, NodeStateSnapshot, RunComparison, WorkflowSession } from '@relive/types'

/** In what two runs differ at a node. Durations, tokens and cost always do; they are shown, and no difference. */
export type Difference = 'onlyA' | 'onlyB' | 'status' | 'output' | 'attempts'

export function differencesOf({ from, to, outputEqual }: ComparedNode): readonly Difference[] {
  if (to === undefined) return ['onlyA']
  if (from === undefined) return ['onlyB']
  const found: Difference[] = []
  if (from.status !== to.status) found.push('status')
  if (outputEqual === false) found.push('output')
  if (from.attempts !== to.attempts) found.push('attempts')
  return found
}

export interface ComparedRow {
  readonly id: string
  readonly name: string
  readonly node: ComparedNode
  readonly differences: readonly Difference[]
}

type Nodes = Readonly<Record<string, Pick<NodeStateSnapshot, 'startedAt'>>>

/** The nodes in the order in which they began, in the first run or else in the second; those that did not, at the end. */
export function rowsOf(
  { nodes }: Pick<RunComparison, 'nodes'>,
  a: Nodes,
  b: Nodes,
  names: (id: string) => string,
): ComparedRow[] {
  const start = (id: string, of: Nodes) => {
    const first = Object.values(of).reduce((least, { startedAt = '9' }) => (startedAt < least ? startedAt : least), '9')
    const at = of[id]?.startedAt
    // From the run's own beginning, so that the two can be sorted together.
    return at === undefined || first === '9' ? undefined : Date.parse(at) - Date.parse(first)
  }
  return Object.entries(nodes)
    .map(([id, node]) => ({
      row: { id, name: node.from?.name ?? node.to?.name ?? names(id), node, differences: differencesOf(node) },
      at: start(id, a) ?? start(id, b) ?? Number.POSITIVE_INFINITY,
    }))
    .sort((one, other) => (one.at === other.at ? (one.row.id < other.row.id ? -1 : 1) : one.at - other.at))
    .map(({ row }) => row)
}

/** The nodes and edges of both graphs; a node is named as in the second, the later one. */
export function mergedGraph(a: GraphDefinition | null, b: GraphDefinition | null): GraphDefinition | undefined {
  const first = a ?? b
  if (first === null) return undefined
  const nodes = { ...a?.nodes }
  for (const [id, node] of Object.entries(b?.nodes ?? {})) {
    const nextIds = [...new Set([...(nodes[id]?.nextIds ?? []), ...(node.nextIds ?? [])])]
    nodes[id] = { ...node, nextIds }
  }
  return { ...first, nodes }
}

/** The state to draw the merged graph with: each node as in the second run, or as in the first if it is only there. */
export function mergedSession(a: WorkflowSession, b: WorkflowSession): WorkflowSession {
  return { ...b, nodes: { ...a.nodes, ...b.nodes } }
}
