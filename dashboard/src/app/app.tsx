import { useEffect } from 'react'

import { access, useMay } from '../access/me'
import { ShareChoice, SignInPage } from '../access/sign-in-page'
import { AuditPage } from '../audit/audit-page'
import { useText } from '../i18n/text'
import { KeysPage } from '../keys/keys-page'
import { SessionPage } from '../session/session-page'
import { SessionsPage } from '../sessions/sessions-page'
import { useStore } from '../store/use-store'
import { AppBar } from '../ui/app-bar'
import { dismissNotices, Notices } from '../ui/notices'
import { noFilters } from './address'
import { linkTo, usePlace } from './place'

export function App() {
  const t = useText()
  const phase = useStore(access, (state) => state.phase)
  return (
    <>
      <a className="skip-link" href="#content">
        {t.skipToContent}
      </a>
      {phase === 'out' && <SignInPage />}
      {phase === 'choosing' && <ShareChoice />}
      {phase === 'in' && <Pages />}
      <Notices />
    </>
  )
}

function Pages() {
  const t = useText()
  const place = usePlace()
  const mayManageKeys = useMay('manageKeys')
  const mayReadAudit = useMay('readAudit')
  const isHidden =
    place.page === 'unknown' || (place.page === 'keys' && !mayManageKeys) || (place.page === 'audit' && !mayReadAudit)
  const where = place.page === 'session' ? place.sessionId : place.page
  useEffect(dismissNotices, [where])
  return (
    <>
      {place.page === 'sessions' && <SessionsPage filters={place.filters} />}
      {place.page === 'session' && (
        <SessionPage key={place.sessionId} sessionId={place.sessionId} filters={place.filters} />
      )}
      {place.page === 'keys' && mayManageKeys && <KeysPage />}
      {place.page === 'audit' && mayReadAudit && <AuditPage />}
      {isHidden && (
        <div className="session-page">
          <AppBar>
            <span className="grow" />
          </AppBar>
          <main id="content" className="page-message" tabIndex={-1}>
            <h1>{t.nothingHere}</h1>
            <a {...linkTo({ page: 'sessions', filters: noFilters })}>{t.toSessions}</a>
          </main>
        </div>
      )}
    </>
  )
}
