import { layout as dagre, Graph } from '@dagrejs/dagre'

import { gap, grid, layered, longestPaths } from './layers'
import { type Direction, type Layout, type LayoutRequest, nodeSize } from './placement'
import { wrapped } from './wrap'

/** Above this many nodes dagre takes longer than anybody waits, and layers alone read as well. */
const dagreAtMost = 400

export function layOut(request: LayoutRequest): Layout {
  if (request.edges.length === 0) return grid(request)
  if (request.ids.length > dagreAtMost) return layered(request, request.direction === 'auto' ? 'LR' : request.direction)
  if (request.direction !== 'auto') return wrapped(withDagre(request, request.direction), request)
  const across = wrapped(withDagre(request, 'LR'), request)
  const down = withDagre(request, 'TB')
  // Reading goes from left to right, so that wins unless it is clearly smaller; unless it had to be
  // broken into rows, which has to be worth it.
  const favour = across.routes === undefined ? 1.15 : 0.85
  return zoomOf(across, request) * favour >= zoomOf(down, request) ? across : down
}

/** How large a layout can be shown in the space there is. */
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
  // As early as it can be, like time: dagre by itself would put what nobody waits for beside the end.
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
