import { layout as dagre, Graph } from '@dagrejs/dagre'

import { gap, grid, layered, longestPaths } from './layers'
import { type Direction, type Layout, type LayoutRequest, nodeSize } from './placement'
import { wrapped } from './wrap'

/** Above this many nodes dagre is too slow; a layered layout is as readable. */
const dagreAtMost = 400

export function layOut(request: LayoutRequest): Layout {
  if (request.edges.length === 0) return grid(request)
  if (request.ids.length > dagreAtMost) return layered(request, request.direction === 'auto' ? 'LR' : request.direction)
  if (request.direction !== 'auto') return wrapped(withDagre(request, request.direction), request)
  const across = wrapped(withDagre(request, 'LR'), request)
  const down = withDagre(request, 'TB')
  // Left to right is easier to read, so it is preferred unless it is clearly smaller. A layout that was broken
  // into rows has to be larger to be preferred.
  const favour = across.routes === undefined ? 1.15 : 0.85
  return zoomOf(across, request) * favour >= zoomOf(down, request) ? across : down
}

/** The zoom at which a layout fits into the available space. */
function zoomOf({ size }: Layout, { space }: LayoutRequest): number {
  return Math.min(1, space.width / size.width, space.height / size.height)
}

function withDagre({ ids, edges }: LayoutRequest, direction: Direction): Layout {
  const graph = new Graph({ multigraph: true })
  graph.setGraph({
    rankdir: direction,
    nodesep: gap.node,
    ranksep: direction === 'LR' ? gap.rank : gap.rank - 8,
    edgesep: 14,
    marginx: 0,
    marginy: 0,
  })
  ids.forEach((_, index) => graph.setNode(String(index), { ...nodeSize }))
  // As early as possible, like time: dagre by itself would put a node that no other waits for next to the end.
  const layers = longestPaths(ids.length, edges)
  edges.forEach(([from, to], index) => {
    const minlen = Math.max(1, (layers[to] ?? 0) - (layers[from] ?? 0))
    graph.setEdge(String(from), String(to), { minlen }, String(index))
  })
  dagre(graph)
  const { width = 0, height = 0 } = graph.graph() as { width?: number; height?: number }
  return {
    direction,
    positions: ids.map((_, index) => {
      const { x = 0, y = 0 } = graph.node(String(index)) as { x?: number; y?: number }
      return [x - nodeSize.width / 2, y - nodeSize.height / 2] as const
    }),
    bends: edges.map(([from, to], index) => {
      const { points = [] } = graph.edge(String(from), String(to), String(index)) as {
        points?: { x: number; y: number }[]
      }
      return points.map(({ x, y }) => [x, y] as const)
    }),
    size: { width, height },
  }
}
