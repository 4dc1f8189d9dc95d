import type { SessionSummary } from '@relive/types'
import { type ChangeEvent, type MouseEvent, memo, type ReactNode } from 'react'

import { type ListColumn, noFilters } from '../app/address'
import { knownNow } from '../app/known-now'
import { linkTo } from '../app/place'
import { cost, count } from '../format/number'
import { duration, millis, moment } from '../format/time'
import type { Text } from '../i18n/en'
import { useText } from '../i18n/text'
import { isWaiting } from '../inbox/waiting'
import { look, progressOf } from '../status/status'
import { StatusIcon } from '../status/status-icon'
import { Icon } from '../ui/icon'
import { TickingText } from '../ui/ticking-text'
import { sessionName } from './session-name'

interface SessionRowProps {
  session: SessionSummary
  depth: number
  isSelected: boolean
  onSelect: (id: string, isRange: boolean) => void
  /** `undefined`: its children are not shown below it. */
  isUnfolded: boolean | undefined
  onFold: (id: string, isUnfolded: boolean) => void
  columns: readonly ListColumn[]
  group: string | undefined
  link: { href: string; onClick: (event: MouseEvent) => void }
}

const indent = 22
/** Levels that are drawn: a family has up to 32. */
const indentAtMost = 6

/** Equal if what is shown is the same; links are created each time and do not count. */
export const SessionRow = memo(
  function SessionRow(props: SessionRowProps) {
    const { session, isSelected, onSelect, columns } = props
    const t = useText()
    const onChange = ({ nativeEvent }: ChangeEvent) =>
      onSelect(session.id, nativeEvent instanceof globalThis.MouseEvent && nativeEvent.shiftKey)
    return (
      <>
        <span role="cell" className="col-select">
          <input
            type="checkbox"
            aria-label={t.selectRun(sessionName(session) ?? t.unnamed(session.id))}
            checked={isSelected}
            onChange={onChange}
          />
        </span>
        <NameCell {...props} />
        {columns.map((column) => (
          <span key={column} role="cell" className={`col-${column} ${classOf(column, session)}`}>
            {cell(column, session, props.group, t)}
          </span>
        ))}
      </>
    )
  },
  (before, after) =>
    before.session === after.session &&
    before.depth === after.depth &&
    before.isSelected === after.isSelected &&
    before.isUnfolded === after.isUnfolded &&
    before.columns === after.columns &&
    before.group === after.group &&
    before.link.href === after.link.href,
)

function NameCell({ session, depth, isUnfolded, onFold, link }: SessionRowProps) {
  const t = useText()
  const name = sessionName(session) ?? t.unnamed(session.id)
  const tags = session.tags ?? []
  const excerpt = session.error ?? (tags.length === 0 ? labelsOf(session) : undefined)
  return (
    <span role="cell" className="col-name" style={{ paddingInlineStart: Math.min(depth, indentAtMost) * indent }}>
      {isUnfolded !== undefined && session.childCount > 0 && (
        <button
          type="button"
          className="unfold quiet"
          aria-expanded={isUnfolded}
          aria-label={t.childrenOfRun(name)}
          title={t.childrenOfRun(name)}
          onClick={() => onFold(session.id, isUnfolded)}
        >
          <Icon name="chevron" />
        </button>
      )}
      <StatusIcon status={isWaiting(session) ? 'suspended' : session.status} />
      <span className="row-lines">
        <span className="row-line">
          <a {...link} title={name}>
            {name}
            <span className="row-link" />
          </a>
          <span className="faint row-id">{session.id.slice(-6)}</span>
          {session.childCount > 0 && (
            <a
              className="row-children faint num"
              {...linkTo({ page: 'sessions', filters: { ...noFilters, parentId: session.id } })}
            >
              {t.children(session.childCount)}
            </a>
          )}
          {session.isStalled && <span className="chip failed">{t.stalled}</span>}
        </span>
        {(excerpt !== undefined || tags.length > 0) && (
          <span className="row-line second">
            {tags.map((tag) => (
              <span key={tag} className="tag" title={tag}>
                {tag}
              </span>
            ))}
            {excerpt !== undefined && (
              <span className={session.status === 'failed' ? 'row-error' : 'row-excerpt'} title={excerpt}>
                {excerpt}
              </span>
            )}
          </span>
        )}
      </span>
    </span>
  )
}

/** Written by the server: an id and a time that say less than the name, which is that of the schedule. */
const ofSchedules = new Set(['scheduleId', 'scheduledAt'])

/** What a list knows of a run beside its name: the summaries of the server have neither inputs nor proposal. */
function labelsOf({ metadata }: SessionSummary): string | undefined {
  const entries = Object.entries(metadata ?? {}).filter(([key]) => !ofSchedules.has(key))
  return entries.length === 0 ? undefined : entries.map(([key, value]) => `${key}: ${value}`).join(' · ')
}

function classOf(column: ListColumn, session: SessionSummary): string {
  if (column === 'status') return `status-word ${isWaiting(session) ? 'suspended' : look(session.status)}`
  return column === 'group' || column === 'workflow' ? '' : 'num'
}

function cell(column: ListColumn, session: SessionSummary, group: string | undefined, t: Text): ReactNode {
  switch (column) {
    case 'status':
      return isWaiting(session) ? t.waitingForYou : t.status[session.status]
    case 'workflow':
      return session.workflowName
    case 'group':
      return group
    case 'progress':
      return <Progress session={session} />
    case 'created':
      return <At time={session.createdAt} locale={t.locale} />
    case 'started':
      return <At time={session.startedAt} locale={t.locale} />
    case 'updated':
      return <At time={session.updatedAt} locale={t.locale} />
    case 'duration':
      return <Took session={session} />
    case 'tokens':
      return session.totalTokens > 0 ? count(session.totalTokens) : ''
    case 'cost':
      return session.totalCostUsd > 0 ? cost(session.totalCostUsd) : ''
  }
}

function At({ time, locale }: { time: string | undefined; locale: string }) {
  if (time === undefined) return null
  return <time dateTime={time}>{moment(time, Date.now(), locale)}</time>
}

function Progress({ session }: { session: SessionSummary }) {
  const t = useText()
  const { done, skipped, all } = progressOf(session.nodeCounts)
  if (all === 0) return null
  return (
    <>
      <ProgressBar session={session} all={all} label={t.nodesDone(done, all, skipped)} />
      <span>
        {done}/{all}
      </span>
    </>
  )
}

export function Took({ session }: { session: SessionSummary }) {
  const from = millis(session.startedAt)
  const to = millis(session.completedAt)
  if (from === undefined) return null
  if (to !== undefined) return <>{duration(to - from)}</>
  return <TickingText text={() => duration(knownNow() - from)} />
}

/** Completed, failed, waiting and running nodes side by side, in the order of the run. */
export function ProgressBar({ session, all, label }: { session: SessionSummary; all: number; label: string }) {
  const { nodeCounts } = session
  return (
    <span className="progress-bar" role="img" aria-label={label} title={label}>
      {(['completed', 'skipped', 'failed', 'suspended', 'running'] as const).map((status) => {
        const share = (nodeCounts[status] ?? 0) / all
        return share > 0 && <i key={status} className={status} style={{ width: `${share * 100}%` }} />
      })}
    </span>
  )
}
