import { type ListColumn, listColumns } from '../app/address'
import { kept } from '../app/kept'

interface Shape {
  /** As a track of the grid. */
  readonly track: string
  /** Pixels that it needs. */
  readonly width: number
  readonly narrow: number
}

const shapes: Record<ListColumn, Shape> = {
  status: { track: '112px', width: 112, narrow: 92 },
  workflow: { track: 'minmax(90px, 150px)', width: 90, narrow: 90 },
  group: { track: 'minmax(80px, 150px)', width: 80, narrow: 80 },
  progress: { track: '170px', width: 170, narrow: 52 },
  created: { track: '132px', width: 132, narrow: 116 },
  started: { track: '132px', width: 132, narrow: 116 },
  updated: { track: '132px', width: 132, narrow: 116 },
  duration: { track: '92px', width: 92, narrow: 58 },
  tokens: { track: '92px', width: 92, narrow: 72 },
  cost: { track: '84px', width: 84, narrow: 72 },
}

/** Where there is not room for all, those further back in this order go first. */
const importance: readonly ListColumn[] = [
  'progress',
  'duration',
  'status',
  'created',
  'cost',
  'tokens',
  'group',
  'workflow',
  'started',
  'updated',
]

const usual: readonly ListColumn[] = ['status', 'group', 'progress', 'created', 'duration', 'tokens', 'cost']

/** The columns that this browser shows. */
export const keptColumns = kept<readonly ListColumn[]>('relive.columns', (stored) =>
  Array.isArray(stored) ? listColumns.filter((column) => stored.includes(column)) : usual,
)

/** Below this width of the window rows are those of a phone: no head, and narrower. */
export const narrowBelow = 620
const nameAtLeast = 180
const gap = 14
const paddings = 90
const selectWidth = 24

export interface Layout {
  readonly columns: readonly ListColumn[]
  readonly template: string
}

/** Those of the chosen columns for which there is room, in their order, and their grid. */
export function layoutOf(chosen: readonly ListColumn[], windowWidth: number): Layout {
  const isNarrow = windowWidth < narrowBelow
  const space = isNarrow ? 8 : gap
  let room = isNarrow ? windowWidth - 48 - 120 : windowWidth - paddings - nameAtLeast
  room -= selectWidth + space
  const fitting = new Set<ListColumn>()
  for (const column of importance) {
    if (!chosen.includes(column)) continue
    const width = (isNarrow ? shapes[column].narrow : shapes[column].width) + space
    if (width > room) break
    room -= width
    fitting.add(column)
  }
  const columns = listColumns.filter((column) => fitting.has(column))
  const name = `minmax(${isNarrow ? 0 : nameAtLeast}px, 1fr)`
  const tracks = columns.map((column) => (isNarrow ? `${shapes[column].narrow}px` : shapes[column].track))
  return { columns, template: [`${selectWidth}px`, name, ...tracks].join(' ') }
}
