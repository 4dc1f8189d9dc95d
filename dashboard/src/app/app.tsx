import { useEffect } from 'react'

import { access, useMay, useMe } from '../access/me'
import { ShareChoice, SignInPage } from '../access/sign-in-page'
import { AuditPage } from '../audit/audit-page'
import { useText } from '../i18n/text'
import { useInbox } from '../inbox/use-inbox'
import { KeysPage } from '../keys/keys-page'
import { SessionsPage } from '../sessions/sessions-page'
import { useStore } from '../store/use-store'
import { AppBar } from '../ui/app-bar'
import { dismissNotices, Notices } from '../ui/notices'
import { ShellDialogs } from '../ui/shell-dialogs'
import { type ListFilters, noFilters } from './address'
import { useMayOpen } from './more-offers'
import { MorePage } from './more-pages'
import { useOnDemand } from './on-demand'
import { currentPlace, linkTo, usePlace } from './place'
import { inboxCode, sessionCode } from './session-code'

/** After the page has loaded: the list comes first. */
const aheadMs = 500

// Loaded ahead, so that no click waits for it, and none of the code before it waits for it.
const loadAhead = () => sessionCode.load().catch(() => undefined)
if (currentPlace().page === 'session') void loadAhead()
else addEventListener('load', () => setTimeout(() => void loadAhead(), aheadMs), { once: true })

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
      {phase === 'in' && <ShellDialogs />}
      <Notices />
    </>
  )
}

function LoadedSessionPage({ sessionId, filters }: { sessionId: string; filters: ListFilters }) {
  const t = useText()
  const code = useOnDemand(sessionCode)
  if (code === undefined) return <p className="page-loading">{t.loading}</p>
  return <code.SessionPage key={sessionId} sessionId={sessionId} filters={filters} />
}

function LoadedInboxPage() {
  const t = useText()
  const code = useOnDemand(inboxCode)
  return code === undefined ? <p className="page-loading">{t.loading}</p> : <code.InboxPage />
}

function Pages() {
  const t = useText()
  const place = usePlace()
  useInbox()
  const mayReview = useMay('review')
  const mayManageKeys = useMay('manageKeys')
  const mayReadAudit = useMay('readAudit')
  const mayOpen = useMayOpen(place)
  const isOpen = useMe()?.required === false
  const isHidden =
    place.page === 'unknown' ||
    (place.page === 'inbox' && !mayReview) ||
    (place.page === 'keys' && !mayManageKeys) ||
    (place.page === 'audit' && !mayReadAudit) ||
    !mayOpen
  const where = place.page === 'session' ? place.sessionId : place.page
  useEffect(dismissNotices, [where])
  return (
    <>
      {place.page === 'sessions' && <SessionsPage filters={place.filters} />}
      {place.page === 'session' && <LoadedSessionPage sessionId={place.sessionId} filters={place.filters} />}
      {place.page === 'inbox' && mayReview && <LoadedInboxPage />}
      {place.page === 'keys' && mayManageKeys && <KeysPage />}
      {place.page === 'audit' && mayReadAudit && <AuditPage />}
      {'options' in place && mayOpen && <MorePage place={place} />}
      {isHidden && (
        <div className="session-page">
          <AppBar>
            <span className="grow" />
          </AppBar>
          <main id="content" className="page-message" tabIndex={-1}>
            <h1>{t.nothingHere}</h1>
            {isOpen && (place.page === 'keys' || place.page === 'audit') && <p className="dim">{t.noAccessControl}</p>}
            <a {...linkTo({ page: 'sessions', filters: noFilters })}>{t.toSessions}</a>
          </main>
        </div>
      )}
    </>
  )
}
