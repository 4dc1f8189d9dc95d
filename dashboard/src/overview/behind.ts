import type { SessionStatus } from '@relive/types'
import type { Place } from '../app/address'
import { noFilters } from '../app/address'
import type { GroupedBy } from './statistics'

/** What a figure is of. */
export interface Of {
  readonly statuses?: readonly SessionStatus[]
  readonly by?: GroupedBy
  /** `undefined` together with `by`: of runs that have none. */
  readonly key?: string | undefined
  /** The period of the end, milliseconds since 1970. */
  readonly from?: number
  readonly to?: number
  readonly text?: string
}

const time = (at: number | undefined) => (at === undefined ? '' : new Date(at).toISOString())

/** The list of the runs behind a figure; `undefined` where no filter finds them: by model, and those that have none. */
export function listBehind({ statuses = [], by, key, from, to, text = '' }: Of): Place | undefined {
  if (by === 'model' || (by !== undefined && key === undefined)) return undefined
  return {
    page: 'sessions',
    filters: {
      ...noFilters,
      text,
      statuses,
      workflowId: by === 'workflow' ? (key ?? '') : '',
      groupId: by === 'group' ? (key ?? '') : '',
      tags: by === 'tag' && key !== undefined ? [key] : [],
      endedAfter: time(from),
      endedBefore: time(to),
    },
  }
}
