import { type Axis, shareOf } from '../timeline/axis'
import type { Lanes } from '../timeline/lanes'

export type MarkKind = 'change' | 'review' | 'error'

export interface Mark {
  readonly kind: MarkKind
  /** The position on the scrubber, 0 to 1. */
  readonly at: number
}

/** Of several marks at one position, the one that most needs attention is drawn. */
const weight: Record<MarkKind, number> = { change: 0, review: 1, error: 2 }

/** The marks of the scrubber; at most one per `1 / spots` of it, however long the run. */
export function marksOf(lanes: Lanes, axis: Axis, spots = 320): readonly Mark[] {
  const marks = new Map<number, Mark>()
  const put = (kind: MarkKind, time: number, revision: number | undefined) => {
    const at = shareOf(axis, time, revision)
    const spot = Math.round(at * spots)
    const held = marks.get(spot)
    if (held === undefined || weight[held.kind] < weight[kind]) marks.set(spot, { kind, at })
  }
  for (const { bars } of lanes.values()) {
    for (const { from, to, during, status, revision, endRevision } of bars) {
      put(during === 'suspended' ? 'review' : 'change', from, revision)
      if (to !== undefined) put(status === 'failed' ? 'error' : 'change', to, endRevision)
    }
  }
  return [...marks.values()].sort((a, b) => weight[a.kind] - weight[b.kind] || a.at - b.at)
}
