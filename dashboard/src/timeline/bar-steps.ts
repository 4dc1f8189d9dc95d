import type { Bar } from './lanes'
import type { NestedLane } from './nested'

/** A bar, named by what does not change while it lasts. */
export interface BarName {
  readonly id: string
  readonly from: number
  readonly during: Bar['during']
}

/** A bar, with where it is. */
export interface FoundBar {
  readonly row: number
  readonly lane: NestedLane['lane']
  readonly bar: Bar
  readonly index: number
}

export function nameOf(id: string, { from, during }: Bar): BarName {
  return { id, from, during }
}

export function isNamed(name: BarName | undefined, id: string, { from, during }: Bar): boolean {
  return name !== undefined && name.id === id && name.from === from && name.during === during
}

export function findBar(lanes: readonly NestedLane[], name: BarName | undefined): FoundBar | undefined {
  if (name === undefined) return undefined
  const row = lanes.findIndex(({ lane }) => lane.id === name.id)
  const lane = lanes[row]?.lane
  const index = lane?.bars.findIndex((bar) => isNamed(name, name.id, bar)) ?? -1
  const bar = lane?.bars[index]
  return lane === undefined || bar === undefined ? undefined : { row, lane, bar, index }
}

export type Step = 'left' | 'right' | 'up' | 'down' | 'first' | 'last'

/** The bar that a key leads to: in the same lane, or in the next one the nearest in time. */
export function stepped(lanes: readonly NestedLane[], from: FoundBar, step: Step): FoundBar | undefined {
  const { row, index, bar } = from
  const count = lanes[row]?.lane.bars.length ?? 0
  switch (step) {
    case 'left':
      return at(lanes, row, Math.max(0, index - 1))
    case 'right':
      return at(lanes, row, Math.min(count - 1, index + 1))
    case 'first':
      return at(lanes, row, 0)
    case 'last':
      return at(lanes, row, count - 1)
    case 'up':
      return nearest(lanes, row - 1, bar.from) ?? from
    case 'down':
      return nearest(lanes, row + 1, bar.from) ?? from
  }
}

function at(lanes: readonly NestedLane[], row: number, index: number): FoundBar | undefined {
  const lane = lanes[row]?.lane
  const bar = lane?.bars[index]
  return lane === undefined || bar === undefined ? undefined : { row, lane, bar, index }
}

/** The bar of a lane that lasts at a time, or else the nearest. */
export function nearest(lanes: readonly NestedLane[], row: number, time: number): FoundBar | undefined {
  let [best, away] = [-1, Number.POSITIVE_INFINITY]
  lanes[row]?.lane.bars.forEach(({ from, to = Number.POSITIVE_INFINITY }, index) => {
    const off = time < from ? from - time : time > to ? time - to : 0
    // Where one ends and the next begins, the next is meant.
    if (off <= away) [best, away] = [index, off]
  })
  return at(lanes, row, best)
}
