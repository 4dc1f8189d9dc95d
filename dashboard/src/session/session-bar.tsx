import { useState } from 'react'

import { useMay } from '../access/me'
import { ShareDialog } from '../access/share-dialog'
import { noFilters, plainView } from '../app/address'
import { link } from '../app/client'
import { useCommands } from '../app/commands'
import { linkTo, usePlace } from '../app/place'
import { cost, count } from '../format/number'
import { millis, moment, position } from '../format/time'
import { useText } from '../i18n/text'
import { hasEnded, isDone } from '../status/status'
import { StatusIcon } from '../status/status-icon'
import { useStore } from '../store/use-store'
import { AppBar } from '../ui/app-bar'
import { ConfirmDialog } from '../ui/confirm-dialog'
import { ConnectionBadge } from '../ui/connection-badge'
import { showNotice } from '../ui/notices'
import { TickingText } from '../ui/ticking-text'
import { type Action, actions, type EndingAction, isAllowed, isEnding } from './actions'
import { useMoment, useOpenSession, useReadableSession, useSession } from './session-context'
import { shownSession } from './state'
import { reasonOf, send } from './steering'

export function SessionBar() {
  const t = useText()
  const place = usePlace()
  const session = useReadableSession(shownSession)
  const graphName = useSession((state) => state.graph?.name)
  const isReplay = useSession((state) => state.replay !== undefined)
  const connection = useStore(link, (state) => state)
  const filters = place.page === 'session' ? place.filters : noFilters
  return (
    <AppBar>
      <div className="crumb">
        <a {...linkTo({ page: 'sessions', filters })}>{t.sessions}</a>
        {session !== undefined && (
          <>
            <span aria-hidden="true"> / </span>
            <h1>{session.name || graphName || t.unnamed(session.id)}</h1>
          </>
        )}
      </div>
      {session !== undefined && (
        <>
          <span className={`chip ${session.status}`}>
            <StatusIcon status={session.status} />
            {t.status[session.status]}
          </span>
          {session.isStalled && (
            <span
              className="chip failed"
              title={t.stalledSince(moment(session.driverSeenAt ?? '', Date.now(), t.locale))}
            >
              {t.stalled}
            </span>
          )}
          <Totals />
          {session.parentSessionId !== undefined && (
            <a
              className="parent"
              {...linkTo({ page: 'session', sessionId: session.parentSessionId, filters, view: plainView })}
            >
              {t.startedBy}
            </a>
          )}
          {session.parentId !== undefined && session.forkedFromRevision !== undefined && (
            <a
              className="parent"
              {...linkTo({
                page: 'session',
                sessionId: session.parentId,
                filters,
                view: { ...plainView, revision: session.forkedFromRevision },
              })}
            >
              {t.forkedFrom(session.forkedFromRevision)}
            </a>
          )}
        </>
      )}
      <span className="grow" />
      <ConnectionBadge
        link={connection}
        word={isReplay ? 'replayed' : session !== undefined && hasEnded(session.status) ? 'connected' : 'live'}
      />
      {session !== undefined && <Share sessionId={session.id} />}
      <Steering />
    </AppBar>
  )
}

function Share({ sessionId }: { sessionId: string }) {
  const t = useText()
  const mayShare = useMay('share')
  const [isOpen, setOpen] = useState(false)
  useCommands(mayShare ? [{ id: 'share', label: t.shareTitle, run: () => setOpen(true) }] : [])
  if (!mayShare) return null
  return (
    <>
      <button type="button" onClick={() => setOpen(true)}>
        {t.share}
      </button>
      {isOpen && <ShareDialog sessionId={sessionId} onClose={() => setOpen(false)} />}
    </>
  )
}

function Totals() {
  const t = useText()
  const session = useReadableSession(shownSession)
  const moment = useMoment()
  if (session === undefined) return null
  const nodes = Object.values(session.nodes)
  const skipped = nodes.filter(({ status }) => status === 'skipped').length
  const done = nodes.filter(({ status }) => isDone(status)).length - skipped
  const start = millis(session.startedAt)
  const end = millis(session.completedAt)
  return (
    <p className="totals num">
      {nodes.length > 0 && (
        <span>
          <b>{done}</b> {t.ofNodes(nodes.length)}
          {skipped > 0 && ` (${t.skippedNodes(skipped)})`}
        </span>
      )}
      {start !== undefined && (
        <b>
          <TickingText text={() => position((end ?? moment()) - start)} />
        </b>
      )}
      {session.totalTokens > 0 && (
        <span>
          <b>{count(session.totalTokens)}</b> {t.tokens}
        </span>
      )}
      {session.totalCostUsd > 0 && <b>{cost(session.totalCostUsd)}</b>}
    </p>
  )
}

function Steering() {
  const t = useText()
  const { store } = useOpenSession()
  // Actions apply to the run as it is now, whatever moment is selected.
  const status = useSession((state) => state.live?.status)
  const [busy, setBusy] = useState<Action>()
  const [asked, setAsked] = useState<EndingAction>()
  const mayControl = useMay('control', store.latest.id)
  const canSteer = mayControl && status !== undefined && !hasEnded(status)
  const possible = canSteer ? actions.filter((action) => isAllowed(action, status)) : []
  useCommands(
    possible.map((action) => ({
      id: action,
      label: t.ofThisRun(t[action]),
      run: () => (isEnding(action) ? setAsked(action) : void act(action)),
    })),
  )
  const act = async (action: Action) => {
    setBusy(action)
    try {
      await send(store.latest.id, { type: action })
    } catch (error) {
      showNotice(t.refused(t[action]), reasonOf(error))
    } finally {
      setBusy(undefined)
    }
  }
  if (!canSteer) return null
  // The one that is possible takes the place of its counterpart.
  const shown = actions.filter((action) =>
    action === 'start' ? status === 'pending' : action !== 'pause' || status !== 'pending',
  )
  return (
    <span className="steering" role="group" aria-label={t.session}>
      {shown.map((action) => (
        <button
          key={action}
          type="button"
          className={action === 'start' ? 'primary' : isEnding(action) ? 'danger' : undefined}
          disabled={!isAllowed(action, status) || busy !== undefined}
          title={isAllowed(action, status) ? undefined : t.notAllowedNow(t[action], t.status[status])}
          onClick={() => (isEnding(action) ? setAsked(action) : void act(action))}
        >
          {t[action]}
        </button>
      ))}
      {asked !== undefined && (
        <ConfirmDialog
          title={t.confirm[asked].title}
          consequence={t.confirm[asked].consequence}
          action={t[asked]}
          onConfirm={() => void act(asked)}
          onClose={() => setAsked(undefined)}
        />
      )}
    </span>
  )
}
