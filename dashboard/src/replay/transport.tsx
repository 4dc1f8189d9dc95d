import { useState } from 'react'

import { useMay } from '../access/me'
import { link } from '../app/client'
import { adjustView, usePlace } from '../app/place'
import { position } from '../format/time'
import { useText } from '../i18n/text'
import { useMoment, useOpenSession, useReadableSession, useSession } from '../session/session-context'
import { shownSession } from '../session/state'
import { hasEnded } from '../status/status'
import { useStore } from '../store/use-store'
import { viewOf } from '../timeline/timeline-view'
import { Icon } from '../ui/icon'
import { TickingText } from '../ui/ticking-text'
import { ForkDialog } from './fork-dialog'
import { speeds } from './player'
import { Scrubber } from './scrubber'

/** The row below the timeline: the controls that change the moment. */
export function Transport() {
  const t = useText()
  const { store, player } = useOpenSession()
  const place = usePlace()
  const isReplay = useSession((state) => state.replay !== undefined)
  const isPlaying = useSession((state) => state.replay?.state?.playing === true)
  const isKnown = useSession((state) => shownSession(state) !== undefined)
  const pace = useSession((state) => state.pace)
  const hasFinished = useSession((state) => state.live !== undefined && hasEnded(state.live.status))
  const isConnected = useStore(link, ({ connection }) => connection.state === 'open')
  const moment = useMoment()
  const mayFork = useMay('fork', store.latest.id)
  const [forkAt, setForkAt] = useState<number>()
  // Read when it is needed: while a run continues, the rendered value is slightly old.
  const revisionNow = () => shownSession(store.shown())?.revision
  const startOf = () => viewOf(store).axis().start
  const comparing = place.page === 'session' && place.view.compareWith !== undefined
  return (
    <div className="transport" role="group" aria-label={t.replayed}>
      <span className="transport-buttons">
        <button
          type="button"
          className="round"
          aria-label={t.stepBack}
          title={`${t.stepBack} (←)`}
          onClick={() => player.step(-1)}
        >
          <Icon name="stepBack" />
        </button>
        <button
          type="button"
          className="round play"
          aria-label={isPlaying ? t.pauseReplay : t.play}
          title={t.keys}
          onClick={() => player.togglePlay()}
        >
          <Icon name={isPlaying ? 'pause' : 'play'} />
        </button>
        <button
          type="button"
          className="round"
          aria-label={t.stepForward}
          title={`${t.stepForward} (→)`}
          disabled={!isReplay}
          onClick={() => player.step(1)}
        >
          <Icon name="stepForward" />
        </button>
      </span>
      <span className="segments num" role="radiogroup" aria-label={t.speed}>
        {speeds.map((speed) => (
          <button
            key={speed}
            type="button"
            role="radio"
            aria-checked={speed === pace.speed}
            onClick={() => player.setSpeed(speed)}
          >
            {speed}×
          </button>
        ))}
      </span>
      <label className="skip-idle" title={t.skipIdleHint}>
        <input type="checkbox" checked={pace.skipIdle} onChange={(event) => player.setSkipIdle(event.target.checked)} />
        {t.skipIdle}
      </label>
      <span className="transport-moment num">
        <b>
          <TickingText text={() => position(moment() - startOf())} />
        </b>
        <RevisionText />
      </span>
      <Scrubber />
      <button
        type="button"
        className={`go-live${isReplay ? '' : isConnected || hasFinished ? ' on' : ' lost'}`}
        aria-pressed={!isReplay}
        title={hasFinished ? t.toEnd : t.backToLive}
        onClick={() => player.goLive()}
      >
        {hasFinished ? (isReplay ? t.toEnd : t.atEnd) : isReplay || isConnected ? t.goLive : t.notConnected}
      </button>
      <button
        type="button"
        className="worded"
        aria-label={t.compareHere}
        title={t.compareHere}
        aria-pressed={comparing}
        disabled={!isKnown}
        onClick={() => adjustView({ compareWith: revisionNow(), panel: 'compare' })}
      >
        <Icon name="compare" />
        <span>{t.compareHere}</span>
      </button>
      {mayFork && (
        <button
          type="button"
          className="worded"
          aria-label={t.fork}
          title={t.fork}
          disabled={!isKnown}
          onClick={() => setForkAt(revisionNow())}
        >
          <Icon name="fork" />
          <span>{t.fork}</span>
        </button>
      )}
      {forkAt !== undefined && (
        <ForkDialog sessionId={store.shown().id} revision={forkAt} onClose={() => setForkAt(undefined)} />
      )}
    </div>
  )
}

function RevisionText() {
  const t = useText()
  const revision = useReadableSession((state) => shownSession(state)?.revision)
  return <span> · {revision === undefined ? '' : t.atRevision(revision)}</span>
}
