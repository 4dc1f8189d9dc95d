import type { SessionSummary } from '@relive/types'
import { type MouseEvent, memo } from 'react'

import { noFilters } from '../app/address'
import { knownNow } from '../app/known-now'
import { linkTo } from '../app/place'
import { cost, count } from '../format/number'
import { duration, millis, moment } from '../format/time'
import { useText } from '../i18n/text'
import { look, progressOf } from '../status/status'
import { StatusIcon } from '../status/status-icon'
import { TickingText } from '../ui/ticking-text'
import { sessionName } from './session-name'

interface SessionRowProps {
  session: SessionSummary
  group: string | undefined
  link: { href: string; onClick: (event: MouseEvent) => void }
}

/** Equal if session and group are the same; links are created each time and do not count. */
export const SessionRow = memo(
  function SessionRow({ session, group, link }: SessionRowProps) {
    const t = useText()
    const { done, skipped, all } = progressOf(session.nodeCounts)
    return (
      <>
        <span role="cell" className="col-name">
          <StatusIcon status={session.status} />
          <a {...link}>
            {sessionName(session) ?? t.unnamed(session.id)}
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
          {session.error !== undefined && (
            <span className="row-error" title={session.error}>
              {session.error}
            </span>
          )}
        </span>
        <span role="cell" className={`col-status status-word ${look(session.status)}`}>
          {t.status[session.status]}
        </span>
        <span role="cell" className="col-group">
          {group}
        </span>
        <span role="cell" className="col-progress num">
          {all > 0 && (
            <>
              <ProgressBar session={session} all={all} label={t.nodesDone(done, all, skipped)} />
              <span>
                {done}/{all}
              </span>
            </>
          )}
        </span>
        <span role="cell" className="col-created num">
          <time dateTime={session.createdAt}>{moment(session.createdAt, Date.now(), t.locale)}</time>
        </span>
        <span role="cell" className="col-duration num">
          <Took session={session} />
        </span>
        <span role="cell" className="col-tokens num">
          {session.totalTokens > 0 ? count(session.totalTokens) : ''}
        </span>
        <span role="cell" className="col-cost num">
          {session.totalCostUsd > 0 ? cost(session.totalCostUsd) : ''}
        </span>
      </>
    )
  },
  (before, after) =>
    before.session === after.session && before.group === after.group && before.link.href === after.link.href,
)

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
