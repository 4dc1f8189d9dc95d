import { isNarrowed, type ListFilters, noFilters } from '../app/address'
import { adjustFilters } from '../app/place'
import { moment } from '../format/time'
import { useText } from '../i18n/text'
import { sessionStatuses } from '../status/status'
import { StatusIcon } from '../status/status-icon'
import { useStore } from '../store/use-store'
import { catalog } from './catalog'
import type { ListFeed } from './list-feed'

export function FilterBar({ filters, feed }: { filters: ListFilters; feed: ListFeed }) {
  const t = useText()
  const groups = useStore(catalog, (state) => state.groups)
  const workflows = useStore(catalog, (state) => state.workflows)
  const shown = useStore(feed.store, (state) => state.sessions.length)
  const hasMore = useStore(feed.store, (state) => state.hasMore)
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
      <span className="status-filter" role="group" aria-label={t.statusFilter}>
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
                  statuses: sessionStatuses.filter((each) =>
                    each === status ? !isOn : filters.statuses.includes(each),
                  ),
                })
              }
            >
              <StatusIcon status={status} />
              {t.status[status]}
            </button>
          )
        })}
      </span>
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
      {filters.parentId !== '' && (
        <button type="button" className="pill on" onClick={() => adjustFilters({ parentId: '' })}>
          {t.childrenOf(filters.parentId.slice(-6))} ×
        </button>
      )}
      {filters.tags.map((tag) => (
        <button
          key={tag}
          type="button"
          className="pill on"
          onClick={() => adjustFilters({ tags: filters.tags.filter((other) => other !== tag) })}
        >
          {tag} ×
        </button>
      ))}
      {(filters.endedAfter !== '' || filters.endedBefore !== '') && (
        <button type="button" className="pill on" onClick={() => adjustFilters({ endedAfter: '', endedBefore: '' })}>
          {t.endedBetween(
            filters.endedAfter && moment(filters.endedAfter, Date.now(), t.locale),
            filters.endedBefore && moment(filters.endedBefore, Date.now(), t.locale),
          )}{' '}
          ×
        </button>
      )}
      {isNarrowed(filters) && (
        <button type="button" className="quiet" onClick={() => adjustFilters(noFilters)}>
          {t.clearFilters}
        </button>
      )}
      <span className="grow" />
      <span className="faint num" role="status">
        {t.shownSessions(shown, hasMore)}
      </span>
    </div>
  )
}
