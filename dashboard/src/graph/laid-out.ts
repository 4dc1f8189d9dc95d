import type { VisibleGraph } from './fold'
import type { Layout } from './placement'

/** A layout with the graph that it belongs to: the two must never be mixed. */
export interface LaidOut {
  readonly graph: VisibleGraph
  readonly layout: Layout
}
