import { gap } from './layers'
import { type Direction, type LayoutRequest, nodeSize } from './placement'

/** Nodes side by side that come after the same nodes and lead to the same ones, as rows of a block. */
export interface Fan {
  /** In the order of their definition. */
  readonly members: readonly number[]
  readonly columns: number
  readonly size: { readonly width: number; readonly height: number }
}

/** Fewer than this are never broken into rows. */
const membersFrom = 8
const cell = { width: nodeSize.width + 24, height: nodeSize.height + gap.node }

/** The wide fans of a graph: as one line, they would make everything too small to read. */
export function fansOf({ ids, edges, space, rooms }: LayoutRequest, direction: Direction): readonly Fan[] {
  const fit = direction === 'LR' ? space.height / cell.height : space.width / cell.width
  const atMost = Math.max(membersFrom, Math.floor(fit))
  return siblings(ids.length, edges)
    .filter((members) => members.length > atMost && !members.some((node) => rooms?.has(node) === true))
    .map((members) => {
      // About the proportions of the space.
      const aspect = Math.max(1, space.width) / Math.max(1, space.height)
      const ideal = Math.round(Math.sqrt((members.length * aspect * cell.height) / cell.width))
      const columns = Math.min(members.length, Math.max(2, ideal))
      const rows = Math.ceil(members.length / columns)
      return {
        members,
        columns,
        size: { width: columns * cell.width - 24, height: rows * cell.height - gap.node },
      }
    })
}

/** The place of a member of a fan, relative to the block's. */
export function placeInFan({ columns }: Fan, at: number): readonly [number, number] {
  return [(at % columns) * cell.width, Math.floor(at / columns) * cell.height]
}

/** Nodes with the same neighbours on both sides, two or more of each, in the order of their definition. */
export function siblings(count: number, edges: LayoutRequest['edges']): readonly (readonly number[])[] {
  const [before, after]: [number[][], number[][]] = [
    Array.from({ length: count }, () => []),
    Array.from({ length: count }, () => []),
  ]
  for (const [from, to] of edges) {
    after[from]?.push(to)
    before[to]?.push(from)
  }
  const alike = new Map<string, number[]>()
  for (let node = 0; node < count; node += 1) {
    const sides = [before[node] ?? [], after[node] ?? []].map((side) => [...side].sort((a, b) => a - b).join())
    if (sides[0] === '') continue
    const key = sides.join('|')
    alike.set(key, [...(alike.get(key) ?? []), node])
  }
  return [...alike.values()].filter((members) => members.length > 1)
}
