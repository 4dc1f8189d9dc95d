import { useState } from 'react'

import { noFilters, plainView } from '../app/address'
import { link } from '../app/client'
import { linkTo } from '../app/place'
import { ago, millis } from '../format/time'
import { useText } from '../i18n/text'
import { SessionContext } from '../session/session-context'
import { useSessionFeed } from '../session/use-session-feed'
import { WaitingNodes } from '../session/waiting-nodes'
import { sessionName } from '../sessions/session-name'
import { useStore } from '../store/use-store'
import { AppBar } from '../ui/app-bar'
import { ConnectionBadge } from '../ui/connection-badge'
import { TickingText } from '../ui/ticking-text'
import { canNotify, isNotifying, setNotifying } from './notify'
import { useTitle } from './use-inbox'
import { waiting } from './waiting'

/** Everything that waits for somebody, in all sessions; what is chosen is answered here. */
export function InboxPage() {
  const t = useText()
  useTitle(t.inbox)
  const { sessions, isLoaded } = useStore(waiting, (state) => state)
  const [chosenId, setChosen] = useState<string>()
  // What was answered goes, and the next one takes its place.
  const chosen = sessions.find(({ id }) => id === chosenId) ?? sessions[0]
  const connection = useStore(link, (state) => state)
  return (
    <div className="sessions-page inbox-page">
      <AppBar>
        <h1 className="page-title">{t.inbox}</h1>
        <span className="grow" />
        {chosen !== undefined && <ConnectionBadge link={connection} />}
        {canNotify && <NotifySwitch />}
      </AppBar>
      <main id="content" tabIndex={-1}>
        {sessions.length === 0 ? (
          <p className="empty">{isLoaded ? t.nothingWaits : t.loading}</p>
        ) : (
          <div className="inbox">
            <ul className="inbox-list scroll" aria-label={t.inbox}>
              {sessions.map((session) => (
                <li key={session.id}>
                  <button
                    type="button"
                    className="inbox-row"
                    aria-current={session === chosen ? 'true' : undefined}
                    onClick={() => setChosen(session.id)}
                  >
                    <b>{sessionName(session) ?? t.unnamed(session.id)}</b>
                    <span className="faint num">
                      <TickingText text={() => t.asked(ago(Date.now() - millis(session.updatedAt), t.locale))} />
                    </span>
                  </button>
                </li>
              ))}
            </ul>
            {chosen !== undefined && (
              <section className="inbox-chosen scroll" aria-label={sessionName(chosen) ?? t.unnamed(chosen.id)}>
                <a
                  className="inbox-link"
                  {...linkTo({ page: 'session', sessionId: chosen.id, filters: noFilters, view: plainView })}
                >
                  {t.openSession(sessionName(chosen) ?? t.unnamed(chosen.id))}
                </a>
                <Answer key={chosen.id} sessionId={chosen.id} />
              </section>
            )}
          </div>
        )}
      </main>
    </div>
  )
}

function Answer({ sessionId }: { sessionId: string }) {
  const open = useSessionFeed(sessionId)
  if (open === undefined) return null
  return (
    <SessionContext value={open}>
      <WaitingNodes />
    </SessionContext>
  )
}

function NotifySwitch() {
  const t = useText()
  const [isOn, setOn] = useState(isNotifying)
  return (
    <button type="button" aria-pressed={isOn} onClick={() => void setNotifying(!isOn).then(setOn)}>
      {isOn ? t.notifying : t.notifyMe}
    </button>
  )
}
