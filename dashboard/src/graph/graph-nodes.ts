import type { SessionSummary } from '@relive/types'
import type { Node } from '@xyflow/react'

import { type Box, boxAt, overlaps } from './in-view'
import type { LaidOut } from './laid-out'
import { nodeSize } from './placement'
import type { Region } from './regions'

export type PlainNode = Node<Record<string, never>, 'node'>
export type FoldNode = Node<{ region: Region; unfold: (regionId: string) => void }, 'fold'>
export type RunNode = Node<{ session: SessionSummary }, 'run'>
export type FlowNode = PlainNode | FoldNode | RunNode

const fixed = { ...nodeSize, draggable: false, selectable: false, focusable: false }

/** The visible cards, as React Flow places them. Each card reads the status of its node itself. */
export function flowNodes(
  { graph, layout, inside = [] }: LaidOut,
  view: Box,
  unfold: (regionId: string) => void,
  runs: ReadonlyMap<string, SessionSummary>,
): FlowNode[] {
  const items = graph.items.flatMap((item, index): FlowNode[] => {
    if (!overlaps(boxAt(layout, index), view)) return []
    const [x, y] = layout.positions[index] ?? [0, 0]
    const placed = { id: item.id, position: { x, y }, ...fixed }
    return [
      item.kind === 'node'
        ? { ...placed, type: 'node', data: {} }
        : { ...placed, type: 'fold', data: { region: item.region, unfold } },
    ]
  })
  const entries = inside.flatMap((opened) =>
    opened.entries.flatMap(({ kind, id }, at): FlowNode[] => {
      const [x, y] = opened.places[at] ?? [0, 0]
      if (!overlaps([x, y, x + nodeSize.width, y + nodeSize.height], view)) return []
      const session = runs.get(id)
      if (kind === 'step') return [{ id, position: { x, y }, ...fixed, type: 'node', data: {} }]
      return session === undefined
        ? []
        : [{ id: `run ${id}`, position: { x, y }, ...fixed, type: 'run', data: { session } }]
    }),
  )
  return [...items, ...entries]
}
