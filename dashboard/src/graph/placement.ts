export const nodeSize = { width: 168, height: 56 }

export type Direction = 'LR' | 'TB'

export interface LayoutRequest {
  readonly ids: readonly string[]
  /** Pairs of indices into `ids`. */
  readonly edges: readonly (readonly [number, number])[]
  /** Left to right, top to bottom, or whichever is larger in the available space. */
  readonly direction: Direction | 'auto'
  readonly space: { readonly width: number; readonly height: number }
}

export interface Layout {
  readonly direction: Direction
  /** The top left corners, in the order of `ids`. */
  readonly positions: readonly (readonly [number, number])[]
  /** The bends of each edge, in the order of `edges`. */
  readonly bends: readonly (readonly (readonly [number, number])[])[]
  /** The complete path of the edges that do not follow their bends. */
  readonly routes?: readonly (string | undefined)[]
  readonly size: { readonly width: number; readonly height: number }
}

export function boundsOf({ positions, bends }: Layout): { x: number; y: number; width: number; height: number } {
  let [left, top, right, bottom] = [Infinity, Infinity, -Infinity, -Infinity]
  for (const [x, y] of positions) {
    ;[left, top] = [Math.min(left, x), Math.min(top, y)]
    ;[right, bottom] = [Math.max(right, x + nodeSize.width), Math.max(bottom, y + nodeSize.height)]
  }
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
