import { type Domain, fraction } from '../timeline/domain'
import type { Lanes } from '../timeline/lanes'

export type MarkKind = 'change' | 'review' | 'error'

export interface Mark {
  readonly kind: MarkKind
  /** 0 to 1 along the scrubber. */
  readonly at: number
}

/** Where several fall on one spot, the one that most needs a look is drawn. */
const weight: Record<MarkKind, number> = { change: 0, review: 1, error: 2 }

/** What happened when, for the scrubber; at most one mark per `1 / spots` of it, however long the run. */
export function marksOf(lanes: Lanes, domain: Domain, spots = 320): readonly Mark[] {
  const marks = new Map<number, Mark>()
  const put = (kind: MarkKind, time: number) => {
    const at = fraction(domain, time)
    const spot = Math.round(at * spots)
    const held = marks.get(spot)
    if (held === undefined || weight[held.kind] < weight[kind]) marks.set(spot, { kind, at })
  }
  for (const { bars } of lanes.values()) {
    for (const { from, to, during, status } of bars) {
      put(during === 'suspended' ? 'review' : 'change', from)
      if (to !== undefined) put(status === 'failed' ? 'error' : 'change', to)
    }
  }
  return [...marks.values()].sort((a, b) => weight[a.kind] - weight[b.kind] || a.at - b.at)
}
