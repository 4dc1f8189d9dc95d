import { useEffect, useState } from 'react'

import { useMay } from '../access/me'
import type { ListFilters } from '../app/address'
import { useCommands } from '../app/commands'
import { useText } from '../i18n/text'
import { useTitle } from '../inbox/use-inbox'
import { useStore } from '../store/use-store'
import { AppBar } from '../ui/app-bar'
import { ConnectionBadge } from '../ui/connection-badge'
import { Icon } from '../ui/icon'
import { loadCatalog } from './catalog'
import { FilterBar } from './filter-bar'
import { SessionTable } from './session-table'
import { StartDialog } from './start-dialog'
import { useList } from './use-list'

export function SessionsPage({ filters }: { filters: ListFilters }) {
  const t = useText()
  const feed = useList(filters)
  const link = useStore(feed.store, (state) => state.link)
  const mayCreate = useMay('create')
  const [isStarting, setStarting] = useState(false)
  useTitle(t.sessions)
  useCommands(mayCreate ? [{ id: 'new run', label: t.newRun, run: () => setStarting(true) }] : [])
  useEffect(() => void loadCatalog(), [])
  return (
    <div className="sessions-page">
      <AppBar>
        <h1 className="page-title">{t.sessions}</h1>
        <span className="grow" />
        <ConnectionBadge link={link} />
        {mayCreate && (
          <button type="button" className="primary" onClick={() => setStarting(true)}>
            <Icon name="plus" />
            {t.newRun}
          </button>
        )}
      </AppBar>
      <main id="content" tabIndex={-1}>
        <FilterBar filters={filters} feed={feed} />
        <SessionTable feed={feed} filters={filters} mayStart={mayCreate} />
      </main>
      {isStarting && <StartDialog onClose={() => setStarting(false)} />}
    </div>
  )
}
