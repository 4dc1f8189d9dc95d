import { useEffect, useState } from 'react'

import type { VisibleGraph } from './fold'
import { type Entry, placeInside, roomFor } from './inside'
import type { LaidOut, Opened } from './laid-out'
import type { Direction, Layout, LayoutRequest } from './placement'

let worker: Worker | undefined
let lastId = 0
const waiting = new Map<number, (layout: Layout) => void>()

function layOutAside(request: LayoutRequest, done: (layout: Layout) => void): () => void {
  if (worker === undefined) {
    worker = new Worker(new URL('./layout.worker.ts', import.meta.url), { type: 'module' })
    worker.addEventListener('message', ({ data }: MessageEvent<{ id: number; layout: Layout }>) => {
      waiting.get(data.id)?.(data.layout)
      waiting.delete(data.id)
    })
  }
  lastId += 1
  const id = lastId
  waiting.set(id, done)
  worker.postMessage({ id, request })
  return () => waiting.delete(id)
}

/** The newest finished layout; that of the graph before, while the new one is being computed. */
export function useLayout(
  graph: VisibleGraph | undefined,
  direction: Direction | 'auto',
  space: { readonly width: number; readonly height: number } | undefined,
  inside: ReadonlyMap<string, readonly Entry[]>,
): LaidOut | undefined {
  const [laidOut, setLaidOut] = useState<LaidOut>()
  // biome-ignore lint/correctness/useExhaustiveDependencies: a resized window does not move the nodes; `space` only chooses the direction at first.
  useEffect(() => {
    if (graph === undefined || space === undefined) return
    const index = new Map(graph.items.map(({ id }, at) => [id, at]))
    const edges: [number, number][] = []
    const drawn: VisibleGraph['edges'][number][] = []
    for (const edge of graph.edges) {
      const [from, to] = [index.get(edge.source), index.get(edge.target)]
      if (from === undefined || to === undefined) continue
      edges.push([from, to])
      drawn.push(edge)
    }
    const rooms = new Map(
      [...inside].flatMap(([id, entries]) => {
        const at = index.get(id)
        return at === undefined ? [] : [[at, roomFor(entries.length)] as const]
      }),
    )
    const request = { ids: graph.items.map(({ id }) => id), edges, direction, space, rooms }
    return layOutAside(request, (layout) =>
      setLaidOut({ graph: { ...graph, edges: drawn }, layout, inside: openedIn(layout, index, inside) }),
    )
  }, [graph, direction, space === undefined, inside])
  return laidOut
}

function openedIn(
  layout: Layout,
  index: ReadonlyMap<string, number>,
  inside: ReadonlyMap<string, readonly Entry[]>,
): readonly Opened[] {
  return [...inside].flatMap(([id, entries]): Opened[] => {
    const at = index.get(id)
    const [position, room] = [layout.positions[at ?? -1], layout.rooms?.get(at ?? -1)]
    if (position === undefined || room === undefined) return []
    const [left, top] = position
    const places = entries.map((_, each) => {
      const [x, y] = placeInside(entries.length, each)
      return [left + x, top + y] as const
    })
    return [{ id, frame: [left, top, left + room.width, top + room.height], entries, places }]
  })
}
