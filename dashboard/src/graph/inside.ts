import type { SessionSummary, WorkflowSession } from '@relive/types'
import { createContext } from 'react'

import { nodeSize } from './placement'

/** What is drawn inside of a node that is opened: a step of it, or a run that it has started. */
export type Entry = { readonly kind: 'step'; readonly id: string } | { readonly kind: 'run'; readonly id: string }

/** Steps and runs that are drawn inside of one node; its panel has the others. */
const [stepsAtMost, runsAtMost] = [40, 20]
const columnsAtMost = 3
/** Around and between what is inside. */
const [padding, between] = [12, 10]

/** Each state is looked through once. */
const nested = new WeakMap<WorkflowSession['nodes'], ReadonlyMap<string, readonly string[]>>()

/** The steps of each node, in the order in which they began. */
function stepsByParent(nodes: WorkflowSession['nodes']): ReadonlyMap<string, readonly string[]> {
  const known = nested.get(nodes)
  if (known !== undefined) return known
  const steps = new Map<string, string[]>()
  for (const { id, parentNodeId } of Object.values(nodes)) {
    if (parentNodeId === undefined) continue
    const held = steps.get(parentNodeId)
    if (held === undefined) steps.set(parentNodeId, [id])
    else held.push(id)
  }
  const began = (id: string) => nodes[id]?.startedAt ?? '~'
  for (const held of steps.values()) held.sort((a, b) => began(a).localeCompare(began(b)))
  nested.set(nodes, steps)
  return steps
}

/** The steps of a node and theirs, each before its own. */
export function stepsInside(nodeId: string, session: Pick<WorkflowSession, 'nodes'> | undefined): readonly string[] {
  if (session === undefined) return []
  const steps = stepsByParent(session.nodes)
  const found: string[] = []
  const open = [...(steps.get(nodeId) ?? [])].reverse()
  for (let id = open.pop(); id !== undefined && found.length <= stepsAtMost; id = open.pop()) {
    found.push(id)
    open.push(...[...(steps.get(id) ?? [])].reverse())
  }
  return found
}

export function entriesOf(steps: readonly string[], runs: readonly string[]): readonly Entry[] {
  return [
    ...steps.slice(0, stepsAtMost).map((id): Entry => ({ kind: 'step', id })),
    ...runs.slice(0, runsAtMost).map((id): Entry => ({ kind: 'run', id })),
  ]
}

const columnsOf = (count: number) => Math.min(columnsAtMost, Math.max(1, Math.ceil(Math.sqrt(count))))

/** The room of an opened node: its card above, and what is inside of it below. */
export function roomFor(count: number): { width: number; height: number } {
  const columns = columnsOf(count)
  return {
    width: 2 * padding + columns * (nodeSize.width + between) - between,
    height: nodeSize.height + 2 * padding + Math.ceil(count / columns) * (nodeSize.height + between) - between,
  }
}

/** Where an entry is, relative to the card. */
export function placeInside(count: number, at: number): readonly [number, number] {
  const columns = columnsOf(count)
  return [
    padding + (at % columns) * (nodeSize.width + between),
    nodeSize.height + padding + Math.floor(at / columns) * (nodeSize.height + between),
  ]
}

interface InsideOfNodes {
  readonly opened: ReadonlySet<string>
  /** The runs that nodes have started, the oldest first. */
  readonly runs: ReadonlyMap<string, readonly SessionSummary[]>
  /** What is drawn by itself. */
  readonly drawn: ReadonlySet<string>
  toggle(nodeId: string): void
}

/** Where nodes can be opened; not in a drawing that no run is shown of. */
export const InsideContext = createContext<InsideOfNodes | undefined>(undefined)
