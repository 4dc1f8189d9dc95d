import type { VisibleGraph } from './fold'
import type { Entry } from './inside'
import type { Box, Layout } from './placement'

/** A node that is opened, with what is inside of it. */
export interface Opened {
  readonly id: string
  readonly frame: Box
  readonly entries: readonly Entry[]
  /** The top left corner of each entry. */
  readonly places: readonly (readonly [number, number])[]
}

/** A layout with the graph that it belongs to: the two must never be mixed. */
export interface LaidOut {
  readonly graph: VisibleGraph
  readonly layout: Layout
  readonly inside?: readonly Opened[]
}
