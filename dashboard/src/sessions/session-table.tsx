import { type KeyboardEvent, useCallback, useEffect, useMemo, useRef, useState } from 'react'

import { isFolded, isNarrowed, type ListFilters, noFilters, plainView } from '../app/address'
import { adjustFilters, linkTo } from '../app/place'
import { useText } from '../i18n/text'
import { useStore } from '../store/use-store'
import { useWindowWidth } from '../ui/use-window-width'
import { BulkBar } from './bulk-bar'
import { catalog } from './catalog'
import { layoutOf } from './columns'
import { useColumns } from './columns-menu'
import { LoadedEmptyState } from './empty-state-loaded'
import { families, fold, foldAllBut, unfold } from './families'
import type { ListFeed } from './list-feed'
import { type ListRow, sorted, sortedAtMost, withFamilies } from './rows'
import { all, extended, noSelection, pruned, type Selection, toggled } from './selection'
import { sessionName } from './session-name'
import { SessionRow } from './session-row'
import { TableHead } from './table-head'
import { useSessionRows } from './use-session-rows'

const rowHeight = 44

export function SessionTable({ feed, filters, mayStart }: { feed: ListFeed; filters: ListFilters; mayStart: boolean }) {
  const t = useText()
  const { isLoaded, error } = useStore(feed.store, (state) => state)
  const groups = useStore(catalog, (state) => state.groups)
  const groupNames = useMemo(
    () => new Map(groups.map(({ id, name, icon }) => [id, icon === undefined ? name : `${icon} ${name}`])),
    [groups],
  )
  const groupOf = (groupId: string | undefined) => groupId && (groupNames.get(groupId) ?? groupId.slice(-8))
  const canUnfold = filters.parentId !== '' || isFolded(filters)
  const listed = useListed(feed, filters, canUnfold, groupNames)
  const ids = useMemo(() => listed.filter(({ session }) => session !== undefined).map(({ id }) => id), [listed])
  const { rows, height, scroller, scrollTo } = useSessionRows(feed, listed, rowHeight)
  const { columns, template } = useLayout(filters)
  const [selected, setSelected] = useState(noSelection)
  const selection = useMemo(() => pruned(selected, ids), [selected, ids])
  // Handlers of rows stay the same, so that rows are not rendered for them.
  const newest = useRef({ selection, ids })
  newest.current = { selection, ids }
  const select = useCallback((change: (selection: Selection, ids: readonly string[]) => Selection) => {
    setSelected(change(newest.current.selection, newest.current.ids))
  }, [])
  const onSelect = useCallback(
    (id: string, isRange: boolean) => select((now, order) => (isRange ? extended(now, order, id) : toggled(now, id))),
    [select],
  )
  const onFold = useCallback((id: string, isUnfolded: boolean) => (isUnfolded ? fold(id) : unfold(id)), [])

  // biome-ignore lint/correctness/useExhaustiveDependencies: another order begins at its top.
  useEffect(() => {
    if (filters.sort !== undefined) scroller.current?.scrollTo({ top: 0 })
  }, [filters.sort?.column, filters.sort?.isDescending, scroller])

  const focusRow = (index: number) => {
    scrollTo(index)
    requestAnimationFrame(() => scroller.current?.querySelector<HTMLElement>(`[data-index="${index}"] a`)?.focus())
  }
  const onKeyDown = (event: KeyboardEvent) => {
    const target = event.target instanceof HTMLElement ? event.target : null
    const at = Number(target?.closest('[data-index]')?.getAttribute('data-index') ?? -1)
    const done = onRowKey(event, at, listed[at], target)
    if (done) event.preventDefault()
  }
  /** The arrow keys move from row to row; a row out of view is scrolled to first. */
  const onRowKey = (event: KeyboardEvent, at: number, row: ListRow | undefined, target: HTMLElement | null) => {
    const isOnLink = target?.tagName === 'A'
    switch (event.key) {
      case 'ArrowDown':
      case 'ArrowUp': {
        const next = Math.min(listed.length - 1, Math.max(0, at + (event.key === 'ArrowDown' ? 1 : -1)))
        const to = listed[next]
        if (event.shiftKey && row?.session !== undefined && to?.session !== undefined)
          select((now, order) => extended(now.anchor === undefined ? toggled(now, row.id) : now, order, to.id))
        focusRow(next)
        return true
      }
      case 'ArrowRight':
      case 'ArrowLeft':
        return isOnLink && canUnfold && unfoldBy(event.key === 'ArrowRight', row)
      case ' ':
        if (!isOnLink || row?.session === undefined) return false
        onSelect(row.id, event.shiftKey)
        return true
      case 'a':
        if (!(event.ctrlKey || event.metaKey)) return false
        select((_, order) => all(order))
        return true
      case 'Escape':
        if (selection.ids.size === 0) return false
        setSelected(noSelection)
        return true
      default:
        return false
    }
  }
  const selectedSessions = useMemo(
    () => listed.flatMap(({ session }) => (session !== undefined && selection.ids.has(session.id) ? [session] : [])),
    [listed, selection],
  )
  const isEmpty = listed.length === 0
  return (
    <>
      <div className="session-table" style={{ '--columns': template } as React.CSSProperties}>
        <div className="table-whole" role="table" aria-label={t.sessions} aria-rowcount={listed.length + 1}>
          <TableHead
            columns={columns}
            sort={filters.sort}
            selected={selection.ids.size}
            isAll={ids.length > 0 && selection.ids.size === ids.length}
            onSelectAll={() => select((now, order) => (now.ids.size > 0 ? noSelection : all(order)))}
          />
          <div ref={scroller} className="table-body" role="rowgroup" tabIndex={isEmpty ? -1 : 0} onKeyDown={onKeyDown}>
            <div className="virtual" role="presentation" style={{ height: height }}>
              {rows.map(({ index, key, start }) => {
                const row = listed[index]
                if (row === undefined) return null
                const { session } = row
                const isSelected = selection.ids.has(row.id)
                return (
                  <div
                    key={key}
                    data-index={index}
                    role="row"
                    aria-rowindex={index + 2}
                    className={`virtual-row${isSelected ? ' selected' : ''}`}
                    style={{ transform: `translateY(${start}px)` }}
                  >
                    {session === undefined ? (
                      <MoreChildren parentId={row.moreOf} />
                    ) : (
                      <SessionRow
                        session={session}
                        depth={row.depth}
                        isSelected={isSelected}
                        onSelect={onSelect}
                        isUnfolded={canUnfold ? row.isUnfolded : undefined}
                        onFold={onFold}
                        columns={columns}
                        group={groupOf(session.groupId)}
                        link={linkTo({ page: 'session', sessionId: session.id, filters, view: plainView })}
                      />
                    )}
                  </div>
                )
              })}
            </div>
          </div>
        </div>
        {isEmpty && (
          <div className="table-empty scroll">
            {error !== undefined ? (
              <p>{error.message}</p>
            ) : !isLoaded ? (
              <p className="faint">{t.loading}</p>
            ) : isNarrowed(filters) ? (
              <>
                <p>{t.noMatches}</p>
                <button type="button" onClick={() => adjustFilters(noFilters)}>
                  {t.clearFilters}
                </button>
              </>
            ) : (
              <LoadedEmptyState mayStart={mayStart} />
            )}
          </div>
        )}
      </div>
      <BulkBar sessions={selectedSessions} onClear={() => setSelected(noSelection)} />
    </>
  )
}

function unfoldBy(isOpening: boolean, row: ListRow | undefined): boolean {
  if (row?.session === undefined || row.session.childCount === 0 || row.isUnfolded === isOpening) return false
  if (isOpening) unfold(row.id)
  else fold(row.id)
  return true
}

function MoreChildren({ parentId }: { parentId: string }) {
  const t = useText()
  return (
    <span role="cell" className="more-children">
      <a {...linkTo({ page: 'sessions', filters: { ...noFilters, parentId } })}>{t.allChildren}</a>
    </span>
  )
}

/** The rows in their order: sorted, and with the children of those that are unfolded. */
function useListed(
  feed: ListFeed,
  filters: ListFilters,
  canUnfold: boolean,
  groupNames: ReadonlyMap<string, string>,
): readonly ListRow[] {
  const t = useText()
  const sessions = useStore(feed.store, (state) => state.sessions)
  const hasMore = useStore(feed.store, (state) => state.hasMore)
  const open = useStore(families, (state) => state.open)
  const { sort } = filters
  const isMissing = sort !== undefined && hasMore && sessions.length < sortedAtMost
  useEffect(() => {
    if (isMissing) void feed.readMore()
  }, [feed, isMissing, sessions.length])
  const listed = useMemo(() => {
    const names = {
      name: (session: (typeof sessions)[number]) => sessionName(session) ?? t.unnamed(session.id),
      group: ({ groupId }: (typeof sessions)[number]) => groupNames.get(groupId ?? '') ?? groupId ?? '',
    }
    return withFamilies(sorted(sessions, sort, names, Date.now()), canUnfold ? open : new Map())
  }, [sessions, sort, open, canUnfold, groupNames, t])
  useEffect(() => {
    if (canUnfold && sessions.length > 0) foldAllBut(new Set(listed.map(({ id }) => id)))
    else foldAllBut(new Set())
  }, [canUnfold, listed, sessions.length])
  useEffect(() => () => foldAllBut(new Set()), [])
  return listed
}

function useLayout(filters: ListFilters) {
  const chosen = useColumns(filters)
  const width = useWindowWidth()
  return useMemo(() => layoutOf(chosen, width), [chosen, width])
}
