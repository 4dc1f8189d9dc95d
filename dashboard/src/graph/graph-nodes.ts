import type { Node } from '@xyflow/react'

import { type Box, boxAt, overlaps } from './in-view'
import type { LaidOut } from './laid-out'
import { nodeSize } from './placement'
import type { Region } from './regions'

export type PlainNode = Node<Record<string, never>, 'node'>
export type FoldNode = Node<{ region: Region; unfold: (regionId: string) => void }, 'fold'>
export type FlowNode = PlainNode | FoldNode

/** The visible cards, as React Flow places them. Each card reads the status of its node itself. */
export function flowNodes({ graph, layout }: LaidOut, view: Box, unfold: (regionId: string) => void): FlowNode[] {
  return graph.items.flatMap((item, index): FlowNode[] => {
    if (!overlaps(boxAt(layout, index), view)) return []
    const [x, y] = layout.positions[index] ?? [0, 0]
    const placed = {
      id: item.id,
      position: { x, y },
      ...nodeSize,
      draggable: false,
      selectable: false,
      focusable: false,
    }
    return [
      item.kind === 'node'
        ? { ...placed, type: 'node', data: {} }
        : { ...placed, type: 'fold', data: { region: item.region, unfold } },
    ]
  })
}
