import { type Direction, type Layout, type LayoutRequest, nodeSize } from './placement'

/** Pixels between layers, and between the nodes of a layer. */
export const gap = { rank: 36, node: 20 }

/** Nodes without edges, in rows that fill the available space. */
export function grid({ ids, space }: LayoutRequest): Layout {
  const cell = { width: nodeSize.width + 28, height: nodeSize.height + 22 }
  const aspect = (Math.max(1, space.width) / Math.max(1, space.height)) * (cell.height / cell.width)
  const columns = Math.max(1, Math.min(ids.length, Math.ceil(Math.sqrt(ids.length * aspect))))
  const rows = Math.ceil(ids.length / columns)
  return {
    direction: 'LR',
    positions: ids.map(
      (_, index) => [(index % columns) * cell.width, Math.floor(index / columns) * cell.height] as const,
    ),
    bends: [],
    size: { width: columns * cell.width, height: rows * cell.height },
  }
}

/**
 * Each node is one layer after its last predecessor, and within its layer near its predecessors. Layers
 * of hundreds are broken into columns. Takes milliseconds where dagre takes minutes.
 */
export function layered({ ids, edges, space }: LayoutRequest, direction: Direction): Layout {
  const layerOf = longestPaths(ids.length, edges)
  const layers: number[][] = []
  layerOf.forEach((layer, index) => {
    layers[layer] ??= []
    layers[layer].push(index)
  })
  const into: number[][] = ids.map(() => [])
  for (const [from, to] of edges) if ((layerOf[from] ?? 0) < (layerOf[to] ?? 0)) into[to]?.push(from)
  const across = direction === 'LR' ? nodeSize.height + 18 : nodeSize.width + 18
  const along = direction === 'LR' ? nodeSize.width : nodeSize.height
  const perColumn = columnLength(
    ids.length,
    across,
    along + gap.rank,
    direction === 'LR' ? space : { width: space.height, height: space.width },
  )
  const place: number[] = []
  const positions: (readonly [number, number])[] = []
  let start = 0
  let most = 0
  for (const layer of layers) {
    const wanted = (index: number) => {
      const sources = into[index] ?? []
      return sources.length === 0 ? 0 : sources.reduce((sum, source) => sum + (place[source] ?? 0), 0) / sources.length
    }
    const sorted = layer.map((index) => [wanted(index), index] as const).sort((a, b) => a[0] - b[0] || a[1] - b[1])
    const columns = Math.ceil(sorted.length / perColumn)
    const rows = Math.ceil(sorted.length / columns)
    sorted.forEach(([, index], at) => {
      const [column, row] = [Math.floor(at / rows), at % rows]
      place[index] = (row - (rows - 1) / 2) * across
      const [main, cross] = [start + column * (along + 24), place[index] ?? 0]
      positions[index] = direction === 'LR' ? [main, cross] : [cross, main]
    })
    most = Math.max(most, rows)
    start += columns * (along + 24) - 24 + gap.rank
  }
  const [length, breadth] = [start - gap.rank, most * across]
  return {
    direction,
    positions,
    bends: [],
    size: direction === 'LR' ? { width: length, height: breadth } : { width: breadth, height: length },
  }
}

/** The number of nodes in one column of a layer, so that the layout has about the proportions of the space. */
function columnLength(count: number, across: number, along: number, space: { width: number; height: number }): number {
  const aspect = Math.max(1, space.height) / Math.max(1, space.width)
  return Math.max(6, Math.round(Math.sqrt(count * (along / across) * aspect)))
}

/** The layer of each node. Back edges are found during the search and are ignored. */
export function longestPaths(count: number, edges: LayoutRequest['edges']): number[] {
  const next: number[][] = Array.from({ length: count }, () => [])
  for (const [from, to] of edges) next[from]?.push(to)
  const state = new Uint8Array(count)
  const order: number[] = []
  const isBack = new Set<number>()
  for (let start = 0; start < count; start += 1) {
    if (state[start] !== 0) continue
    state[start] = 1
    const stack = [{ node: start, at: 0 }]
    for (let top = stack.at(-1); top !== undefined; top = stack.at(-1)) {
      const following = next[top.node]?.[top.at]
      top.at += 1
      if (following === undefined) {
        state[top.node] = 2
        order.push(top.node)
        stack.pop()
      } else if (state[following] === 0) {
        state[following] = 1
        stack.push({ node: following, at: 0 })
      } else if (state[following] === 1) isBack.add(top.node * count + following)
    }
  }
  const layers = new Array<number>(count).fill(0)
  for (const node of order.reverse()) {
    for (const following of next[node] ?? []) {
      if (isBack.has(node * count + following)) continue
      layers[following] = Math.max(layers[following] ?? 0, (layers[node] ?? 0) + 1)
    }
  }
  return layers
}
