import { isFolded, isNarrowed, type ListFilters, noFilters } from '../app/address'
import { adjustFilters } from '../app/place'
import { moment } from '../format/time'
import { useText } from '../i18n/text'
import { sessionStatuses } from '../status/status'
import { StatusIcon } from '../status/status-icon'
import { useStore } from '../store/use-store'
import { catalog } from './catalog'
import { ColumnsMenu } from './columns-menu'
import { DeleteMatching } from './delete-matching'
import type { ListFeed } from './list-feed'
import { sortedAtMost } from './rows'
import { TagsMenu } from './tags-menu'
import { useCount } from './use-count'
import { ViewsMenu } from './views-menu'
import { WhenMenu } from './when-menu'

export function FilterBar({ filters, feed }: { filters: ListFilters; feed: ListFeed }) {
  const t = useText()
  const groups = useStore(catalog, (state) => state.groups)
  const workflows = useStore(catalog, (state) => state.workflows)
  const shown = useStore(feed.store, (state) => state.sessions.length)
  const hasMore = useStore(feed.store, (state) => state.hasMore)
  const newest = useStore(feed.store, (state) => state.sessions[0]?.id)
  const counted = useCount(filters, hasMore, newest)
  const folded = isFolded(filters)
  return (
    <div className="filter-bar" role="search">
      <input
        type="search"
        className="find"
        aria-label={t.filterText}
        placeholder={t.filterText}
        value={filters.text}
        onChange={(event) => adjustFilters({ text: event.target.value })}
      />
      <StatusFilter filters={filters} />
      {(groups.length > 0 || filters.groupId !== '') && (
        <select
          aria-label={t.group}
          value={filters.groupId}
          onChange={(event) => adjustFilters({ groupId: event.target.value })}
        >
          <option value="">{t.allGroups}</option>
          {/* An address can name a group that is not among those read. */}
          {filters.groupId !== '' && !groups.some(({ id }) => id === filters.groupId) && (
            <option value={filters.groupId}>{filters.groupId.slice(-8)}</option>
          )}
          {groups.map(({ id, name, icon }) => (
            <option key={id} value={id}>
              {icon === undefined ? name : `${icon} ${name}`}
            </option>
          ))}
        </select>
      )}
      {(workflows.length > 0 || filters.workflowId !== '') && (
        <select
          aria-label={t.workflow}
          value={filters.workflowId}
          onChange={(event) => adjustFilters({ workflowId: event.target.value })}
        >
          <option value="">{t.allWorkflows}</option>
          {filters.workflowId !== '' && !workflows.some(({ id }) => id === filters.workflowId) && (
            <option value={filters.workflowId}>{filters.workflowId.slice(-8)}</option>
          )}
          {workflows.map(({ id, name }) => (
            <option key={id} value={id}>
              {name}
            </option>
          ))}
        </select>
      )}
      <WhenMenu filters={filters} />
      <TagsMenu filters={filters} feed={feed} />
      {(filters.endedAfter !== '' || filters.endedBefore !== '') && (
        <button type="button" className="pill on" onClick={() => adjustFilters({ endedAfter: '', endedBefore: '' })}>
          {t.endedBetween(
            filters.endedAfter && moment(filters.endedAfter, Date.now(), t.locale),
            filters.endedBefore && moment(filters.endedBefore, Date.now(), t.locale),
          )}{' '}
          ×
        </button>
      )}
      {filters.parentId === '' ? (
        <button
          type="button"
          className={`pill${folded ? ' on' : ''}`}
          aria-pressed={folded}
          title={t.foldFamiliesHint}
          onClick={() => adjustFilters({ families: folded ? 'flat' : 'folded' })}
        >
          {t.foldFamilies}
        </button>
      ) : (
        <button type="button" className="pill on" onClick={() => adjustFilters({ parentId: '' })}>
          {t.childrenOf(filters.parentId.slice(-6))} ×
        </button>
      )}
      {isNarrowed(filters) && (
        <button
          type="button"
          className="quiet"
          onClick={() => adjustFilters({ ...noFilters, columns: filters.columns })}
        >
          {t.clearFilters}
        </button>
      )}
      <span className="grow" />
      <span className="faint num" role="status">
        {t.shownSessions(Math.max(shown, counted?.count ?? 0), counted?.hasMore ?? hasMore)}
        {filters.sort !== undefined && hasMore && shown >= sortedAtMost && `, ${t.sortedAmong(sortedAtMost)}`}
      </span>
      <span className="list-menus">
        <DeleteMatching filters={filters} />
        <ColumnsMenu filters={filters} />
        <ViewsMenu filters={filters} />
      </span>
    </div>
  )
}

/** What waits for somebody is no status of the server's: it is by itself, and not beside others. */
function StatusFilter({ filters }: { filters: ListFilters }) {
  const t = useText()
  return (
    <span className="status-filter" role="group" aria-label={t.statusFilter}>
      <button
        type="button"
        className={`pill${filters.isWaiting ? ' on' : ''}`}
        aria-pressed={filters.isWaiting}
        onClick={() => adjustFilters({ isWaiting: !filters.isWaiting, statuses: [] })}
      >
        <StatusIcon status="suspended" />
        {t.waitingForYou}
      </button>
      {sessionStatuses.map((status) => {
        const isOn = filters.statuses.includes(status)
        return (
          <button
            key={status}
            type="button"
            className={`pill${isOn ? ' on' : ''}`}
            aria-pressed={isOn}
            onClick={() =>
              adjustFilters({
                isWaiting: false,
                statuses: sessionStatuses.filter((each) => (each === status ? !isOn : filters.statuses.includes(each))),
              })
            }
          >
            <StatusIcon status={status} />
            {t.status[status]}
          </button>
        )
      })}
    </span>
  )
}
