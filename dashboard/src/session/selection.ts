import { useSyncExternalStore } from 'react'

import { adjustView, currentPlace, onPlace } from '../app/place'

/** The part of the page in which a node was selected: it need not scroll to it. */
export type Origin = 'graph' | 'timeline' | 'messages' | 'panel'

let origin: Origin | undefined

/** The origin of the last selection, for parts that scroll to a node selected elsewhere. */
export function selectedFrom(): Origin | undefined {
  return origin
}

export function selectedNode(): string | undefined {
  const place = currentPlace()
  return place.page === 'session' ? place.view.nodeId : undefined
}

/** Selects a node in all parts of the page. Its details are shown unless the messages are being read. */
export function selectNode(nodeId: string | undefined, from: Origin): void {
  const place = currentPlace()
  if (place.page !== 'session') return
  origin = from
  const { panel } = place.view
  const again = nodeId === place.view.nodeId
  const showDetails = from === 'panel' || (panel !== 'messages' && panel !== 'compare') || (again && from === 'graph')
  adjustView({ nodeId, panel: nodeId !== undefined && showDetails ? 'node' : panel })
}

/** Whether this node is selected; changes for two nodes at a time, so only they are rendered again. */
export function useIsSelected(nodeId: string): boolean {
  return useSyncExternalStore(onPlace, () => selectedNode() === nodeId)
}

export function useSelectedNode(): string | undefined {
  return useSyncExternalStore(onPlace, selectedNode)
}
