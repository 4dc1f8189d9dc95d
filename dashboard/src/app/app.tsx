import { useEffect } from 'react'

import { useText } from '../i18n/text'
import { SessionPage } from '../session/session-page'
import { SessionsPage } from '../sessions/sessions-page'
import { AppBar } from '../ui/app-bar'
import { dismissNotices, Notices } from '../ui/notices'
import { noFilters } from './address'
import { linkTo, usePlace } from './place'

export function App() {
  const t = useText()
  const place = usePlace()
  const where = place.page === 'session' ? place.sessionId : place.page
  useEffect(dismissNotices, [where])
  return (
    <>
      <a className="skip-link" href="#content">
        {t.skipToContent}
      </a>
      {place.page === 'sessions' && <SessionsPage filters={place.filters} />}
      {place.page === 'session' && (
        <SessionPage key={place.sessionId} sessionId={place.sessionId} filters={place.filters} />
      )}
      {place.page === 'unknown' && (
        <div className="session-page">
          <AppBar>
            <span className="grow" />
          </AppBar>
          <main id="content" className="page-message" tabIndex={-1}>
            <p>{t.nothingHere}</p>
            <a {...linkTo({ page: 'sessions', filters: noFilters })}>{t.toSessions}</a>
          </main>
        </div>
      )}
      <Notices />
    </>
  )
}
