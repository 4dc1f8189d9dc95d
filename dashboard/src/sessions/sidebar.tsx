import type { ReactNode } from 'react'

import type { ListFilters } from '../app/address'
import { plainView } from '../app/address'
import { adjustFilters, linkTo } from '../app/place'
import { useText } from '../i18n/text'
import { isWaiting } from '../inbox/waiting'
import { progressOf } from '../status/status'
import { StatusIcon } from '../status/status-icon'
import { useStore } from '../store/use-store'
import { sessionName } from './session-name'
import { ProgressBar, Took } from './session-row'
import { useList } from './use-list'
import { useSessionRows } from './use-session-rows'

const rowHeight = 62

/** The list beside a session: the same filters and the same live rows, narrower. */
export function Sidebar({
  filters,
  sessionId,
  children,
}: {
  filters: ListFilters
  sessionId: string
  children: ReactNode
}) {
  const t = useText()
  const feed = useList(filters)
  const sessions = useStore(feed.store, (state) => state.sessions)
  const { rows, height, scroller } = useSessionRows(feed, sessions, rowHeight)
  return (
    <nav className="sidebar" aria-label={t.sessions}>
      {children}
      <input
        type="search"
        className="find"
        aria-label={t.filterText}
        placeholder={t.filterText}
        value={filters.text}
        onChange={(event) => adjustFilters({ text: event.target.value })}
      />
      <div ref={scroller} className="sidebar-list scroll">
        <ul className="virtual" style={{ height: height }}>
          {rows.map(({ index, key, start }) => {
            const session = sessions[index]
            if (session === undefined) return null
            const { done, skipped, all } = progressOf(session.nodeCounts)
            const isCurrent = session.id === sessionId
            const waits = isWaiting(session)
            const name = sessionName(session) ?? t.unnamed(session.id)
            return (
              <li key={key} className="virtual-row" style={{ transform: `translateY(${start}px)` }}>
                <a
                  className="side-row"
                  aria-current={isCurrent ? 'page' : undefined}
                  {...linkTo({ page: 'session', sessionId: session.id, filters, view: plainView })}
                >
                  <StatusIcon status={waits ? 'suspended' : session.status} />
                  <span className="side-name" title={name}>
                    {name}
                  </span>
                  <span className="dim num">
                    <Took session={session} />
                  </span>
                  <span className="side-facts num">
                    <span>{waits ? t.waitingForYou : t.status[session.status]}</span>
                    {all > 0 && (
                      <span>
                        {done}/{all}
                      </span>
                    )}
                  </span>
                  {all > 0 && <ProgressBar session={session} all={all} label={t.nodesDone(done, all, skipped)} />}
                </a>
              </li>
            )
          })}
        </ul>
      </div>
    </nav>
  )
}
