import type { GraphDefinition, WorkflowSession } from '@relive/types'

type Graph = GraphDefinition | null | undefined

/** One of several runs of a node at the same time: `nodeId#key`. */
export interface Instance {
  /** The node of the graph. */
  readonly of: string
  readonly key: string
}

/** The longest part before a `#` that is a node of the graph, as the server reads it. */
export function instanceOf(id: string, graph: Graph): Instance | undefined {
  if (graph == null || graph.nodes[id] !== undefined) return undefined
  for (let at = id.lastIndexOf('#'); at > 0; at = id.lastIndexOf('#', at - 1)) {
    const [of, key] = [id.slice(0, at), id.slice(at + 1)]
    if (key !== '' && graph.nodes[of] !== undefined) return { of, key }
  }
  return undefined
}

/** In the order of their keys: 2 before 10. */
export const byKey = new Intl.Collator(undefined, { numeric: true })

/** The ids of a node's instances, by their keys. */
export function instancesOf(nodeId: string, session: WorkflowSession | undefined, graph: Graph): readonly string[] {
  const beginning = `${nodeId}#`
  return Object.keys(session?.nodes ?? {})
    .filter((id) => id.startsWith(beginning) && instanceOf(id, graph)?.of === nodeId)
    .sort(byKey.compare)
}

/** What a node is called. Instances have the name of their node, and are told apart by their keys. */
export function nodeName(nodeId: string, session: WorkflowSession | undefined, graph: Graph): string {
  const named = (id: string) => session?.nodes[id]?.name ?? graph?.nodes[id]?.name
  const name = named(nodeId)
  const instance = instanceOf(nodeId, graph)
  if (instance === undefined) return name ?? nodeId
  const shared = named(instance.of) ?? instance.of
  return name === undefined || name === shared ? `${shared} #${instance.key}` : name
}
