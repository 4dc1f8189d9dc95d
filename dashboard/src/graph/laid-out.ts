import type { VisibleGraph } from './fold'
import type { Layout } from './placement'

/** A layout, with the graph it is of: the two must never be mixed. */
export interface LaidOut {
  readonly graph: VisibleGraph
  readonly layout: Layout
}
