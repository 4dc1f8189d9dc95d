import type { EndedRuns, Statistics, StatisticsBucket, StatisticsBucketWidth } from '@relive/types'

import { millis } from '../format/time'
import { groupBy } from './group-by'

const minute = 60_000
const hour = 60 * minute
const day = 24 * hour

export const widthMs: Record<StatisticsBucketWidth, number> = { minute, hour, day }

/** The periods that can be chosen: up to now, in whole buckets. */
export const periods = {
  hour: { bucket: 'minute', buckets: 60 },
  day: { bucket: 'hour', buckets: 24 },
  week: { bucket: 'hour', buckets: 168 },
  month: { bucket: 'day', buckets: 30 },
  quarter: { bucket: 'day', buckets: 90 },
} as const satisfies Record<string, { bucket: StatisticsBucketWidth; buckets: number }>
export type Period = keyof typeof periods

export const groupings = ['workflow', 'group', 'tag', 'model'] as const
export type GroupedBy = (typeof groupings)[number]

export function periodOf(name: string | undefined): Period {
  return name !== undefined && name in periods ? (name as Period) : 'day'
}

export function groupingOf(name: string | undefined): GroupedBy {
  return groupings.find((known) => known === name) ?? 'workflow'
}

/** Where a period begins: the current bucket, which is not over, is its last one. Buckets are those of UTC. */
export function beginOf(period: Period, now: number): number {
  const { bucket, buckets } = periods[period]
  const width = widthMs[bucket]
  return Math.floor(now / width) * width - (buckets - 1) * width
}

/** Some buckets added up. */
export interface Figures {
  readonly runs: EndedRuns
  /** `undefined` without runs. */
  readonly successRate: number | undefined
  readonly p50: number | undefined
  readonly p95: number | undefined
  /** The percentiles are averages of those of several buckets, by the number of their runs; not those of all runs. */
  readonly isApproximate: boolean
  readonly tokens: number
  readonly costUsd: number
}

export function addUp(buckets: readonly StatisticsBucket[]): Figures {
  const runs = { total: 0, completed: 0, failed: 0, cancelled: 0 }
  let [tokens, costUsd, weight, p50, p95, timed] = [0, 0, 0, 0, 0, 0]
  for (const bucket of buckets) {
    runs.total += bucket.runs.total
    runs.completed += bucket.runs.completed
    runs.failed += bucket.runs.failed
    runs.cancelled += bucket.runs.cancelled
    tokens += bucket.totalTokens
    costUsd += bucket.totalCostUsd
    if (bucket.durationMs === undefined) continue
    timed += 1
    weight += bucket.runs.total
    p50 += bucket.durationMs.p50 * bucket.runs.total
    p95 += bucket.durationMs.p95 * bucket.runs.total
  }
  return {
    runs,
    successRate: runs.total === 0 ? undefined : runs.completed / runs.total,
    p50: weight === 0 ? undefined : p50 / weight,
    p95: weight === 0 ? undefined : p95 / weight,
    isApproximate: timed > 1,
    tokens,
    costUsd,
  }
}

/** A bucket of the period, also one without runs. */
export interface Slot {
  readonly from: number
  readonly to: number
  readonly figures: Figures
}

/** Every bucket of a period, in order. */
export function slotsOf({ buckets, bucket, from, to }: Statistics): Slot[] {
  const width = widthMs[bucket]
  const first = Math.floor(millis(from) / width) * width
  const byStart = groupBy(buckets, ({ start }) => millis(start))
  return Array.from({ length: Math.max(0, Math.ceil((millis(to) - first) / width)) }, (_, index) => {
    const start = first + index * width
    return { from: start, to: start + width, figures: addUp(byStart.get(start) ?? []) }
  })
}

export interface Row {
  /** `undefined`: runs that have no workflow, group, tag or model. */
  readonly key: string | undefined
  readonly figures: Figures
}

/** The groups of a period, those with the most runs first. */
export function rowsOf({ buckets }: Pick<Statistics, 'buckets'>): Row[] {
  return [...groupBy(buckets, ({ key }) => key)]
    .map(([key, some]) => ({ key, figures: addUp(some) }))
    .sort((a, b) => b.figures.runs.total - a.figures.runs.total || (a.key ?? '').localeCompare(b.key ?? ''))
}
