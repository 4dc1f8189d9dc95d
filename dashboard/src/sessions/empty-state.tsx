import type { CreateSession, WorkflowSession } from '@relive/types'
import { type KeyboardEvent, useId, useRef, useState } from 'react'

import tour from '../../../examples/engine-tour.json'
import { request } from '../api/http'
import { noFilters, plainView } from '../app/address'
import { base } from '../app/base'
import { goTo } from '../app/place'
import { sessionCode } from '../app/session-code'
import { useText } from '../i18n/text'
import { noteCreated } from '../session/created-here'
import { reasonOf, send } from '../session/steering'
import { CopyButton } from '../ui/copy-button'
import { firstLines } from './first-lines'
import { wish } from './run-again'

/** A list without any runs: one click shows a first one, and a few lines report one's own. */
export function EmptyState({ mayStart }: { mayStart: boolean }) {
  const t = useText()
  return (
    <div className="first-steps">
      <h2>{t.noSessions}</h2>
      {mayStart && (
        <>
          <p className="faint">{t.firstRunHint}</p>
          <FirstRun />
          <p className="faint">{t.reportHint}</p>
          <Lines />
        </>
      )}
    </div>
  )
}

function FirstRun() {
  const t = useText()
  const [isBusy, setBusy] = useState(false)
  const [error, setError] = useState<string>()
  const key = useRef<string>(undefined)
  const start = async () => {
    setBusy(true)
    setError(undefined)
    key.current ??= wish()
    const body: CreateSession = { graph: tour, driver: 'builtin', name: t.firstRunName, proposal: t.firstRunProposal }
    try {
      // Its page must be there before it starts: what is written before anybody listens is not sent again.
      await sessionCode.load().catch(() => undefined)
      const headers = { 'idempotency-key': key.current }
      const session = await request<WorkflowSession>('POST', '/sessions', { body, headers })
      noteCreated(session.id)
      goTo({ page: 'session', sessionId: session.id, filters: noFilters, view: plainView })
      await send(session.id, { type: 'start' })
    } catch (cause) {
      setError(reasonOf(cause))
      setBusy(false)
    }
  }
  return (
    <>
      <button type="button" className="primary" disabled={isBusy} onClick={() => void start()}>
        {isBusy ? t.starting : t.startFirstRun}
      </button>
      {error !== undefined && (
        <p className="error-line" role="alert">
          {error}
        </p>
      )}
    </>
  )
}

function Lines() {
  const t = useText()
  const id = useId()
  const all = firstLines(location.origin + base)
  const [language, setLanguage] = useState<string>('curl')
  const chosen = all.find((each) => each.language === language) ?? all[0]
  if (chosen === undefined) return null
  const onKeyDown = (event: KeyboardEvent) => {
    const by = event.key === 'ArrowRight' ? 1 : event.key === 'ArrowLeft' ? -1 : 0
    const next = all[(all.indexOf(chosen) + by + all.length) % all.length]
    if (by === 0 || next === undefined) return
    event.preventDefault()
    setLanguage(next.language)
    document.getElementById(`${id}-${next.language}`)?.focus()
  }
  return (
    <div className="first-lines">
      <div className="tabs" role="tablist" aria-label={t.reportHint} onKeyDown={onKeyDown}>
        {all.map((each) => (
          <button
            key={each.language}
            id={`${id}-${each.language}`}
            type="button"
            role="tab"
            aria-selected={each === chosen}
            aria-controls={`${id}-lines`}
            tabIndex={each === chosen ? 0 : -1}
            onClick={() => setLanguage(each.language)}
          >
            {each.language}
          </button>
        ))}
      </div>
      <div role="tabpanel" id={`${id}-lines`} aria-labelledby={`${id}-${chosen.language}`}>
        {[chosen.install, chosen.code].map(
          (text) =>
            text !== undefined && (
              <div key={text} className="first-lines-block">
                <pre className="mono scroll" tabIndex={0}>
                  {text}
                </pre>
                <CopyButton text={text} />
              </div>
            ),
        )}
      </div>
    </div>
  )
}
