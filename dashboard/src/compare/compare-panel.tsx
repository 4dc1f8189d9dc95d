import type { NodeStatus, WorkflowSession } from '@relive/types'
import { useEffect, useMemo, useState } from 'react'

import { get, query } from '../api/http'
import { adjustView, usePlace } from '../app/place'
import { readable } from '../context/value-view'
import { cost, count } from '../format/number'
import { duration } from '../format/time'
import { useText } from '../i18n/text'
import { selectNode, useSelectedNode } from '../session/selection'
import { useOpenSession, useReadableSession } from '../session/session-context'
import { shownSession } from '../session/state'
import { StatusIcon } from '../status/status-icon'
import { compare, type NodeChange } from './compare'

/** The differences between the marked moment and the selected one. */
export function ComparePanel() {
  const t = useText()
  const { player } = useOpenSession()
  const place = usePlace()
  const marked = place.page === 'session' ? place.view.compareWith : undefined
  const shown = useReadableSession(shownSession)
  const first = useStateAt(shown?.id, marked)
  const changes = useMemo(
    () => (first === undefined || shown === undefined ? undefined : compare(first, shown)),
    [first, shown],
  )
  if (marked === undefined) return <p className="empty">{t.compareIntro}</p>
  return (
    <div className="compare-panel scroll" tabIndex={0} role="region" aria-label={t.compare}>
      <div className="compare-head num">
        <p>
          {t.atRevision(marked)} <span aria-hidden="true">→</span>{' '}
          <b>{shown === undefined ? '' : t.atRevision(shown.revision)}</b>
        </p>
        <p className="faint">{t.compareIntro}</p>
        <div className="buttons">
          <button type="button" onClick={() => player.seek({ revision: marked })}>
            {t.swap}
          </button>
          <button type="button" onClick={() => adjustView({ compareWith: undefined, panel: undefined })}>
            {t.endComparison}
          </button>
        </div>
      </div>
      {changes === undefined && <p className="faint">{t.loading}</p>}
      {changes !== undefined && changes.nodes.length === 0 && changes.context.length === 0 && (
        <p className="empty">{t.sameMoment}</p>
      )}
      {changes !== undefined && changes.nodes.length > 0 && (
        <section>
          <h2 className="section">
            {t.changedNodes(changes.nodes.length)}
            {changes.tokens !== 0 && (
              <span className="faint num">
                {' '}
                · {signed(changes.tokens)} {t.tokens}
              </span>
            )}
            {changes.costUsd !== 0 && (
              <span className="faint num">
                {' '}
                · {changes.costUsd > 0 ? '+' : '−'}
                {cost(Math.abs(changes.costUsd))}
              </span>
            )}
          </h2>
          <ul className="changes">
            {changes.nodes.map((change) => (
              <ChangeRow key={change.id} change={change} />
            ))}
          </ul>
        </section>
      )}
      {changes !== undefined && changes.context.length > 0 && (
        <section>
          <h2 className="section">{t.contextChanges}</h2>
          <dl className="context-changes">
            {changes.context.map(({ key, before, after }) => (
              <div key={key}>
                <dt>{key}</dt>
                <dd className="was">{before === undefined ? t.absent : readable(before).slice(0, 600)}</dd>
                <dd className="is">{after === undefined ? t.absent : readable(after).slice(0, 600)}</dd>
              </div>
            ))}
          </dl>
        </section>
      )}
    </div>
  )
}

function ChangeRow({ change }: { change: NodeChange }) {
  const t = useText()
  const selected = useSelectedNode()
  const { id, name, before, after, attempts, tokens, took, error } = change
  const word = (status: NodeStatus | undefined) => (status === undefined ? t.absent : t.status[status])
  const facts = [
    attempts[0] !== attempts[1] ? `×${attempts[0]} → ×${attempts[1]}` : '',
    took[1] !== undefined && took[0] !== took[1] ? duration(took[1]) : '',
    tokens !== 0 ? `${signed(tokens)} ${t.tokens}` : '',
  ].filter(Boolean)
  return (
    <li>
      <button
        type="button"
        className={`change${selected === id ? ' selected' : ''}`}
        onClick={() => selectNode(id, 'timeline')}
      >
        <b>{name}</b>
        <span className="faint num">{facts.join(' · ')}</span>
        <span className="change-status">
          <StatusIcon status={before ?? 'pending'} />
          {word(before)}
          <span aria-hidden="true">→</span>
          <StatusIcon status={after ?? 'pending'} />
          {word(after)}
        </span>
        {error !== undefined && <span className="error-line">{error}</span>}
      </button>
    </li>
  )
}

function signed(value: number): string {
  return `${value > 0 ? '+' : '−'}${count(Math.abs(value))}`
}

/** The state at a revision. It never changes, so it is read once. */
function useStateAt(sessionId: string | undefined, revision: number | undefined): WorkflowSession | undefined {
  const [session, setSession] = useState<WorkflowSession>()
  useEffect(() => {
    setSession(undefined)
    if (sessionId === undefined || revision === undefined) return
    const controller = new AbortController()
    get<WorkflowSession>(`/sessions/${sessionId}${query({ revision })}`, controller.signal).then(
      (state) => setSession(state),
      () => undefined,
    )
    return () => controller.abort()
  }, [sessionId, revision])
  return session
}
