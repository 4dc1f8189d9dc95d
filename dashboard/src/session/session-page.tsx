import type { ReliveError } from '@relive/types'
import { type CSSProperties, useState } from 'react'

import type { ListFilters } from '../app/address'
import { linkTo } from '../app/place'
import { GraphView } from '../graph/graph-view'
import type { Text } from '../i18n/en'
import { useText } from '../i18n/text'
import { useTitle } from '../inbox/use-inbox'
import { Transport } from '../replay/transport'
import { Sidebar } from '../sessions/sidebar'
import { Gantt } from '../timeline/gantt'
import { useIsNarrow } from '../ui/use-media'
import { Archived } from './archived'
import { usePanelSize } from './panel-size'
import { Panels } from './panels'
import { useIsReading } from './reading'
import { SessionBar } from './session-bar'
import { SessionContext, useSession } from './session-context'
import { Splitter } from './splitter'
import { shownSession } from './state'
import { useKeyboard } from './use-keyboard'
import { useMomentInAddress } from './use-moment-in-address'
import { useSessionFeed } from './use-session-feed'
import { WaitingNodes } from './waiting-nodes'

interface SessionPageProps {
  sessionId: string
  filters: ListFilters
}

export function SessionPage(props: SessionPageProps) {
  // A session that came back from the archive is opened anew.
  const [restored, setRestored] = useState(0)
  return <OpenedPage {...props} key={restored} onRestored={() => setRestored((times) => times + 1)} />
}

function OpenedPage({ sessionId, ...rest }: SessionPageProps & { onRestored: () => void }) {
  const open = useSessionFeed(sessionId)
  if (open === undefined) return null
  return (
    <SessionContext value={open}>
      <Page {...rest} sessionId={sessionId} />
    </SessionContext>
  )
}

function saysWhy(t: Text, error: ReliveError): string {
  if (error.code === 'not_found') return t.noSuchSession
  return error.code === 'forbidden' ? t.sessionForbidden : error.message
}

function Page({ filters, sessionId, onRestored }: SessionPageProps & { onRestored: () => void }) {
  const t = useText()
  const name = useSession((state) => shownSession(state)?.name || state.graph?.name)
  const error = useSession((state) => state.error)
  const [side, panels, timeline] = [usePanelSize('side'), usePanelSize('panels'), usePanelSize('timeline')]
  const isNarrow = useIsNarrow()
  const isReading = useIsReading() && !isNarrow
  useKeyboard()
  useMomentInAddress()
  useTitle(name || t.session)
  if (error !== undefined) {
    return (
      <div className="session-page">
        <SessionBar />
        <main id="content" className="page-message" tabIndex={-1}>
          {error.code === 'not_found' || error.code === 'forbidden' ? (
            <Archived sessionId={sessionId} onRestored={onRestored}>
              <h1>{saysWhy(t, error)}</h1>
            </Archived>
          ) : (
            <h1>{saysWhy(t, error)}</h1>
          )}
          <a {...linkTo({ page: 'sessions', filters })}>{t.toSessions}</a>
        </main>
      </div>
    )
  }
  return (
    <div
      className={`session-page${isReading ? ' reading' : ''}`}
      style={
        {
          '--timeline': `${timeline.value}px`,
          '--side': `${side.value}px`,
          '--panels': `${panels.value}px`,
        } as CSSProperties
      }
    >
      <SessionBar />
      <Sidebar filters={filters} sessionId={sessionId}>
        <Splitter name="side" size={side} label={t.resizeList} />
      </Sidebar>
      {/* On a phone the panels are below the fold, and what waits for somebody must not be. */}
      {isNarrow && <WaitingNodes />}
      <main id={isReading ? undefined : 'content'} tabIndex={-1}>
        <GraphView />
      </main>
      <Panels>
        <Splitter name="panels" size={panels} label={t.resizePanels} />
      </Panels>
      <footer className="timeline">
        <Splitter name="timeline" size={timeline} label={t.resizeTimeline} />
        <Gantt />
        <Transport />
      </footer>
    </div>
  )
}
