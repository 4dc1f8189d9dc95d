import type { SessionPage, Statistics } from '@relive/types'
import { type ReactNode, useEffect, useMemo, useRef, useState } from 'react'
import { query } from '../api/http'
import { noFilters, type Place, plainView } from '../app/address'
import type { PageOptions } from '../app/more-address'
import { adjustOptions, linkTo } from '../app/place'
import { cost, count } from '../format/number'
import { duration, millis, moment } from '../format/time'
import { useText } from '../i18n/text'
import { PageFrame } from '../more/page-frame'
import { useMoreText } from '../more/text'
import { useRead } from '../more/use-read'
import { catalog, loadCatalog } from '../sessions/catalog'
import { look } from '../status/status'
import { useStore } from '../store/use-store'
import { listBehind, type Of } from './behind'
import type { Series } from './chart'
import { ChartCard } from './chart-card'
import { errorGroups } from './errors'
import {
  addUp,
  beginOf,
  type Figures,
  type GroupedBy,
  groupingOf,
  groupings,
  type Period,
  periodOf,
  periods,
  rowsOf,
  type Slot,
  slotsOf,
} from './statistics'

/** How often the figures are read again while the page is shown. */
const refreshMs = 30_000
/** Failed runs whose errors are grouped: the newest. */
const failedAtMost = 200
const goingOn = ['running', 'paused', 'pending'] as const
const rowsAtFirst = 12

/** How runs ended, how long they took and what they cost, over time and by what they have in common. */
export function OverviewPage({ options }: { options: PageOptions }) {
  const m = useMoreText()
  const period = periodOf(options['period'])
  const by = groupingOf(options['by'])
  const turn = useTurn()
  const from = new Date(beginOf(period, turn.now)).toISOString()
  const asked = { bucket: periods[period].bucket, from }
  const all = useRead<Statistics>(`/statistics${query(asked)}`, { keep: true })
  const grouped = useRead<Statistics>(`/statistics${query({ ...asked, groupBy: by })}`, { keep: true })
  const reloads = [all.reload, grouped.reload]
  useReload(turn.count, reloads)
  useEffect(() => void loadCatalog(), [])
  return (
    <PageFrame title={m.overview} error={all.error ?? grouped.error} actions={<PeriodChoice period={period} />}>
      <div className="overview-body scroll" tabIndex={0} role="region" aria-label={m.overview}>
        {all.value?.complete === false && <p className="faint">{m.stillCounting}</p>}
        {all.value === undefined ? (
          <p className="faint">{m.reading}</p>
        ) : (
          <Whole statistics={all.value} turn={turn.count} />
        )}
        {grouped.value !== undefined && <Groups statistics={grouped.value} by={by} />}
        <Errors from={from} turn={turn.count} />
        <p className="faint note">{m.overviewNote}</p>
      </div>
    </PageFrame>
  )
}

/** Counts up while the page is shown, for what is read again. */
function useTurn(): { readonly count: number; readonly now: number } {
  const [turn, setTurn] = useState(() => ({ count: 0, now: Date.now() }))
  useEffect(() => {
    const timer = setInterval(() => {
      if (!document.hidden) setTurn(({ count: before }) => ({ count: before + 1, now: Date.now() }))
    }, refreshMs)
    return () => clearInterval(timer)
  }, [])
  return turn
}

function useReload(turn: number, reloads: readonly (() => void)[]): void {
  const newest = useRef(reloads)
  newest.current = reloads
  useEffect(() => {
    if (turn > 0) for (const reload of newest.current) reload()
  }, [turn])
}

function PeriodChoice({ period }: { period: Period }) {
  const m = useMoreText()
  return (
    <select aria-label={m.period} value={period} onChange={(event) => adjustOptions({ period: event.target.value })}>
      {(Object.keys(periods) as Period[]).map((name) => (
        <option key={name} value={name}>
          {m.periods[name]}
        </option>
      ))}
    </select>
  )
}

/** All runs together: the figures, and how they were over time. */
function Whole({ statistics, turn }: { statistics: Statistics; turn: number }) {
  const t = useText()
  const m = useMoreText()
  const slots = useMemo(() => slotsOf(statistics), [statistics])
  const series = useSeries(slots)
  const period = { from: millis(statistics.from), to: slots.at(-1)?.to ?? millis(statistics.to) }
  const figures = useMemo(() => addUp(statistics.buckets), [statistics])
  const inSlot = (of: Of) => (slot: Slot) => listBehind({ ...of, from: slot.from, to: slot.to })
  return (
    <>
      <Tiles figures={figures} within={{ from: period.from, to: period.to }} turn={turn} />
      <div className="charts">
        <ChartCard
          title={m.runsByStatus}
          slots={slots}
          kind="bars"
          series={series.runs}
          format={count}
          behind={(slot, index) => {
            const status = index === undefined ? undefined : ended[index]
            return inSlot(status === undefined ? {} : { statuses: [status] })(slot)
          }}
        />
        <ChartCard
          title={m.durations}
          slots={slots}
          kind="lines"
          series={series.durations}
          format={duration}
          behind={inSlot({})}
        />
        <ChartCard
          title={t.columns.tokens}
          slots={slots}
          kind="bars"
          series={series.tokens}
          format={count}
          behind={inSlot({})}
        />
        <ChartCard
          title={t.columns.cost}
          slots={slots}
          kind="bars"
          series={series.costs}
          format={cost}
          behind={inSlot({})}
        />
      </div>
    </>
  )
}

const ended = ['completed', 'failed', 'cancelled'] as const

interface AllSeries {
  readonly runs: readonly Series[]
  readonly durations: readonly Series[]
  readonly tokens: readonly Series[]
  readonly costs: readonly Series[]
}

function useSeries(slots: readonly Slot[]): AllSeries {
  const t = useText()
  const m = useMoreText()
  return useMemo(() => {
    const of = (label: string, colour: string, value: (figures: Figures) => number | undefined): Series => ({
      label,
      colour,
      values: slots.map(({ figures }) => value(figures) ?? null),
    })
    return {
      runs: ended.map((status) =>
        of(t.status[status], status === 'cancelled' ? 'pending' : status, ({ runs }) => runs[status]),
      ),
      durations: [of('p50', 'running', ({ p50 }) => p50), of('p95', 'suspended', ({ p95 }) => p95)],
      tokens: [of(t.columns.tokens, 'accent', ({ tokens }) => tokens)],
      costs: [of(t.columns.cost, 'code-word', ({ costUsd }) => costUsd)],
    }
  }, [slots, t, m])
}

function Tiles({ figures, within, turn }: { figures: Figures; within: { from: number; to: number }; turn: number }) {
  const t = useText()
  const m = useMoreText()
  const { runs } = figures
  return (
    <dl className="tiles num">
      <GoingOn turn={turn} />
      <Tile name={m.ended} place={listBehind(within)}>
        {count(runs.total)}
      </Tile>
      {ended.map((status) => (
        <Tile
          key={status}
          name={t.status[status]}
          look={look(status)}
          place={listBehind({ ...within, statuses: [status] })}
        >
          {count(runs[status])}
        </Tile>
      ))}
      <Tile name={m.successRate} place={listBehind({ ...within, statuses: ['completed'] })}>
        {percent(figures.successRate)}
      </Tile>
      <Tile name="p50" note={figures.isApproximate ? m.approximate : undefined} place={listBehind(within)}>
        {figures.p50 === undefined ? '–' : `${figures.isApproximate ? '≈ ' : ''}${duration(figures.p50)}`}
      </Tile>
      <Tile name="p95" note={figures.isApproximate ? m.approximate : undefined} place={listBehind(within)}>
        {figures.p95 === undefined ? '–' : `${figures.isApproximate ? '≈ ' : ''}${duration(figures.p95)}`}
      </Tile>
      <Tile name={t.columns.tokens} place={listBehind(within)}>
        {count(figures.tokens)}
      </Tile>
      <Tile name={t.columns.cost} place={listBehind(within)}>
        {cost(figures.costUsd)}
      </Tile>
    </dl>
  )
}

/** The runs that have not ended are not among the statistics. */
function GoingOn({ turn }: { turn: number }) {
  const m = useMoreText()
  const { value, reload } = useRead<SessionPage>(`/sessions${query({ status: goingOn.join(','), limit: 200 })}`)
  useReload(turn, [reload])
  const place: Place = { page: 'sessions', filters: { ...noFilters, statuses: goingOn } }
  const more = value?.nextCursor === undefined ? '' : '+'
  return (
    <Tile name={m.goingOn} look="running" place={place}>
      {value === undefined ? '…' : `${count(value.sessions.length)}${more}`}
    </Tile>
  )
}

interface TileProps {
  name: string
  note?: string | undefined
  look?: string
  place: Place | undefined
  children: ReactNode
}

function Tile({ name, note, look: status = '', place, children }: TileProps) {
  return (
    <div className={`tile ${status}`}>
      <dt>{name}</dt>
      <dd title={note}>{place === undefined ? children : <a {...linkTo(place)}>{children}</a>}</dd>
    </div>
  )
}

function percent(share: number | undefined): string {
  return share === undefined ? '–' : `${(Math.floor(share * 1000) / 10).toFixed(1)} %`
}

/** The same figures for each workflow, group, tag or model. */
function Groups({ statistics, by }: { statistics: Statistics; by: GroupedBy }) {
  const t = useText()
  const m = useMoreText()
  const [isWhole, setWhole] = useState(false)
  const names = useNames(by)
  const isCurrent = statistics.groupBy === by
  const rows = useMemo(() => (isCurrent ? rowsOf(statistics) : []), [statistics, isCurrent])
  const shown = isWhole ? rows : rows.slice(0, rowsAtFirst)
  return (
    <section className="card" aria-label={m.byWhat}>
      <div className="card-head">
        <h2>{m.byWhat}</h2>
        <span className="segments" role="group" aria-label={m.byWhat}>
          {groupings.map((name) => (
            <button key={name} type="button" aria-pressed={name === by} onClick={() => adjustOptions({ by: name })}>
              {m.groupings[name]}
            </button>
          ))}
        </span>
      </div>
      {rows.length === 0 && <p className="empty">{isCurrent ? m.noEnded : t.loading}</p>}
      {rows.length > 0 && (
        <div className="scroll" tabIndex={0} role="region" aria-label={m.tableOf(m.groupings[by])}>
          <table className="plain num figures">
            <thead>
              <tr>
                <th scope="col">{m.groupings[by]}</th>
                <th scope="col">{m.ended}</th>
                {ended.map((status) => (
                  <th key={status} scope="col">
                    {t.status[status]}
                  </th>
                ))}
                <th scope="col">{m.successRate}</th>
                <th scope="col">p50</th>
                <th scope="col">p95</th>
                <th scope="col">{t.columns.tokens}</th>
                <th scope="col">{t.columns.cost}</th>
              </tr>
            </thead>
            <tbody>
              {shown.map(({ key, figures }) => (
                <GroupRow
                  key={key ?? ''}
                  name={key === undefined ? m.withNone[by] : (names.get(key) ?? key)}
                  of={{ by, key, from: millis(statistics.from), to: millis(statistics.to) }}
                  figures={figures}
                />
              ))}
            </tbody>
          </table>
        </div>
      )}
      {shown.length < rows.length && (
        <button type="button" className="quiet" onClick={() => setWhole(true)}>
          {m.allRows(rows.length)}
        </button>
      )}
    </section>
  )
}

function GroupRow({ name, of, figures }: { name: string; of: Of; figures: Figures }) {
  const m = useMoreText()
  const { runs } = figures
  const about = figures.isApproximate ? '≈ ' : ''
  const note = figures.isApproximate ? m.approximate : undefined
  return (
    <tr>
      <th scope="row">
        <Figure place={listBehind(of)}>{name}</Figure>
      </th>
      <td>
        <Figure place={listBehind(of)}>{count(runs.total)}</Figure>
      </td>
      {ended.map((status) => (
        <td key={status} className={runs[status] > 0 && status === 'failed' ? 'bad' : undefined}>
          <Figure place={runs[status] === 0 ? undefined : listBehind({ ...of, statuses: [status] })}>
            {count(runs[status])}
          </Figure>
        </td>
      ))}
      <td>{percent(figures.successRate)}</td>
      <td title={note}>{figures.p50 === undefined ? '–' : about + duration(figures.p50)}</td>
      <td title={note}>{figures.p95 === undefined ? '–' : about + duration(figures.p95)}</td>
      <td>{count(figures.tokens)}</td>
      <td>{cost(figures.costUsd)}</td>
    </tr>
  )
}

function Figure({ place, children }: { place: Place | undefined; children: string }) {
  if (place === undefined) return <>{children}</>
  return (
    <a className="figure-link" {...linkTo(place)}>
      {children}
    </a>
  )
}

/** What workflows and groups are called; tags and models are their own names. */
function useNames(by: GroupedBy): ReadonlyMap<string, string> {
  const workflows = useStore(catalog, (state) => state.workflows)
  const groups = useStore(catalog, (state) => state.groups)
  return useMemo(() => {
    const named = by === 'workflow' ? workflows : by === 'group' ? groups : []
    return new Map(named.map(({ id, name }) => [id, name]))
  }, [by, workflows, groups])
}

/** The errors of the newest runs that have failed, those of one cause together. */
function Errors({ from, turn }: { from: string; turn: number }) {
  const t = useText()
  const m = useMoreText()
  const asked = query({ status: 'failed', endedAfter: from, limit: failedAtMost })
  const { value, error, reload } = useRead<SessionPage>(`/sessions${asked}`, { keep: true })
  useReload(turn, [reload])
  const groups = useMemo(() => errorGroups(value?.sessions ?? []), [value])
  return (
    <section className="card" aria-label={m.errors}>
      <div className="card-head">
        <h2>{m.errors}</h2>
        {value?.nextCursor !== undefined && <span className="faint">{m.ofNewestFailed(failedAtMost)}</span>}
      </div>
      {error !== undefined && <p className="error-line">{error}</p>}
      {value === undefined && error === undefined && <p className="empty">{t.loading}</p>}
      {value !== undefined && groups.length === 0 && <p className="empty">{m.noErrors}</p>}
      <ol className="error-groups">
        {groups.map(({ pattern, common, sessions }) => {
          const newest = sessions[0]
          const place = listBehind({ statuses: ['failed'], from: millis(from), text: common })
          return (
            <li key={pattern}>
              <b className="num">
                {place === undefined ? sessions.length : <a {...linkTo(place)}>{m.times(sessions.length)}</a>}
              </b>
              <span className="error-pattern">{pattern === '' ? m.noReason : pattern}</span>
              {newest !== undefined && (
                <a
                  className="faint figure-link"
                  {...linkTo({ page: 'session', sessionId: newest.id, filters: noFilters, view: plainView })}
                >
                  {m.newestOf(moment(newest.completedAt ?? newest.updatedAt, Date.now(), t.locale))}
                </a>
              )}
            </li>
          )
        })}
      </ol>
    </section>
  )
}
