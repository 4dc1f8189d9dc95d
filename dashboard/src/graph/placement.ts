export const nodeSize = { width: 168, height: 56 }

/** A rectangle in the coordinates of the graph. */
export type Box = readonly [left: number, top: number, right: number, bottom: number]

export type Direction = 'LR' | 'TB'

export interface LayoutRequest {
  readonly ids: readonly string[]
  /** Pairs of indices into `ids`. */
  readonly edges: readonly (readonly [number, number])[]
  /** Left to right, top to bottom, or whichever is larger in the available space. */
  readonly direction: Direction | 'auto'
  readonly space: Size
  /** The room of opened nodes, whose cards are at its top left. */
  readonly rooms?: ReadonlyMap<number, Size>
}

export interface Size {
  readonly width: number
  readonly height: number
}

export interface Layout {
  readonly direction: Direction
  /** The top left corners, in the order of `ids`. */
  readonly positions: readonly (readonly [number, number])[]
  /** The bends of each edge, in the order of `edges`. */
  readonly bends: readonly (readonly (readonly [number, number])[])[]
  /** The complete path of the edges that do not follow their bends. */
  readonly routes?: readonly (string | undefined)[]
  /** The row in which each node stands, if the layout is broken into rows. */
  readonly rows?: readonly number[]
  /** Wide fans and opened nodes; what has some is not broken into rows. */
  readonly blocks?: number
  /** Edges that run beside the nodes, through their bends, from side to side. */
  readonly outside?: ReadonlySet<number>
  /** As asked for, where the layout heeds it. */
  readonly rooms?: ReadonlyMap<number, Size>
  readonly size: Size
}

export function boundsOf({ positions, bends, rooms }: Layout): { x: number; y: number; width: number; height: number } {
  let [left, top, right, bottom] = [Infinity, Infinity, -Infinity, -Infinity]
  positions.forEach(([x, y], at) => {
    const { width, height } = rooms?.get(at) ?? nodeSize
    ;[left, top] = [Math.min(left, x), Math.min(top, y)]
    ;[right, bottom] = [Math.max(right, x + width), Math.max(bottom, y + height)]
  })
  // Back edges run outside of the nodes.
  for (const points of bends) {
    for (const [x, y] of points) {
      ;[left, top] = [Math.min(left, x), Math.min(top, y)]
      ;[right, bottom] = [Math.max(right, x), Math.max(bottom, y)]
    }
  }
  return positions.length === 0
    ? { x: 0, y: 0, width: 1, height: 1 }
    : { x: left, y: top, width: right - left, height: bottom - top }
}
