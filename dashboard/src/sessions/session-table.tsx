import { type KeyboardEvent, useMemo } from 'react'

import { type ListFilters, noFilters, plainView } from '../app/address'
import { adjustFilters, linkTo } from '../app/place'
import { useText } from '../i18n/text'
import { useStore } from '../store/use-store'
import { catalog } from './catalog'
import type { ListFeed } from './list-feed'
import { SessionRow } from './session-row'
import { useSessionRows } from './use-session-rows'

const rowHeight = 44

export function SessionTable({
  feed,
  filters,
  onStart,
}: {
  feed: ListFeed
  filters: ListFilters
  /** Absent: this caller may not start sessions. */
  onStart: (() => void) | undefined
}) {
  const t = useText()
  const { isLoaded, error } = useStore(feed.store, (state) => state)
  const groups = useStore(catalog, (state) => state.groups)
  const groupNames = useMemo(
    () => new Map(groups.map(({ id, name, icon }) => [id, icon === undefined ? name : `${icon} ${name}`])),
    [groups],
  )
  const { sessions, rows, height, scroller, scrollTo } = useSessionRows(feed, rowHeight)

  /** The arrow keys move from row to row; a row out of view is scrolled to first. */
  const onKeyDown = (event: KeyboardEvent) => {
    const by = event.key === 'ArrowDown' ? 1 : event.key === 'ArrowUp' ? -1 : 0
    const row = event.target instanceof HTMLElement ? event.target.closest('[data-index]') : null
    if (by === 0) return
    const next = Math.min(sessions.length - 1, Math.max(0, Number(row?.getAttribute('data-index') ?? -1) + by))
    event.preventDefault()
    scrollTo(next)
    requestAnimationFrame(() => scroller.current?.querySelector<HTMLElement>(`[data-index="${next}"] a`)?.focus())
  }
  const isNarrowed =
    filters !== noFilters &&
    (filters.text !== '' || filters.statuses.length > 0 || filters.groupId !== '' || filters.workflowId !== '')
  return (
    <div className="session-table" role="table" aria-label={t.sessions} aria-rowcount={sessions.length + 1}>
      <div className="table-head" role="row" aria-rowindex={1}>
        {(['name', 'status', 'group', 'progress', 'created', 'duration', 'tokens', 'cost'] as const).map((column) => (
          <span key={column} role="columnheader" className={`col-${column}`}>
            {t.columns[column]}
          </span>
        ))}
      </div>
      <div
        ref={scroller}
        className="table-body"
        role="rowgroup"
        tabIndex={sessions.length === 0 ? -1 : 0}
        onKeyDown={onKeyDown}
      >
        <div className="virtual" role="presentation" style={{ height: height }}>
          {rows.map(({ index, key, start }) => {
            const session = sessions[index]
            if (session === undefined) return null
            return (
              <div
                key={key}
                data-index={index}
                role="row"
                aria-rowindex={index + 2}
                className="virtual-row"
                style={{ transform: `translateY(${start}px)` }}
              >
                <SessionRow
                  session={session}
                  group={
                    session.groupId === undefined
                      ? undefined
                      : (groupNames.get(session.groupId) ?? session.groupId.slice(-8))
                  }
                  link={linkTo({ page: 'session', sessionId: session.id, filters, view: plainView })}
                />
              </div>
            )
          })}
        </div>
      </div>
      {sessions.length === 0 && (
        <div className="table-empty">
          {error !== undefined ? (
            <p>{error.message}</p>
          ) : !isLoaded ? (
            <p className="faint">{t.loading}</p>
          ) : isNarrowed ? (
            <>
              <p>{t.noMatches}</p>
              <button type="button" onClick={() => adjustFilters(noFilters)}>
                {t.clearFilters}
              </button>
            </>
          ) : (
            <>
              <h2>{t.noSessions}</h2>
              {onStart !== undefined && (
                <>
                  <p className="faint">{t.noSessionsHint}</p>
                  <button type="button" className="primary" onClick={onStart}>
                    {t.newRun}
                  </button>
                </>
              )}
            </>
          )}
        </div>
      )}
    </div>
  )
}
