import { type CreateSession, ReliveError, type WorkflowSession } from '@relive/types'
import { type FormEvent, useEffect, useRef, useState } from 'react'

import { request } from '../api/http'
import { noFilters, plainView } from '../app/address'
import { goTo } from '../app/place'
import { sessionCode } from '../app/session-code'
import { readJson, textOrStructure } from '../format/json'
import { useText } from '../i18n/text'
import { noteCreated } from '../session/created-here'
import { reasonOf, send } from '../session/steering'
import { useStore } from '../store/use-store'
import { Dialog } from '../ui/dialog'
import { showNotice } from '../ui/notices'
import { catalog, loadCatalog } from './catalog'

/** Starts a stored workflow on the server's built-in engine. */
export function StartDialog({ onClose }: { onClose: () => void }) {
  const t = useText()
  const { workflows, groups, isLoaded } = useStore(catalog, (state) => state)
  const [workflowId, setWorkflowId] = useState('')
  const [groupId, setGroupId] = useState('')
  const [proposal, setProposal] = useState('')
  const [inputs, setInputs] = useState('')
  const [isBusy, setBusy] = useState(false)
  const [error, setError] = useState<string>()
  const asked = useRef<{ body: string; key: string }>(undefined)
  useEffect(() => void loadCatalog(), [])
  const chosen = workflows.find(({ id }) => id === workflowId) ?? workflows[0]
  const inputsAreFine = isJsonOrEmpty(inputs)
  const submit = async (event: FormEvent) => {
    event.preventDefault()
    if (chosen === undefined || !inputsAreFine) return
    setBusy(true)
    setError(undefined)
    const group = groupId || chosen.groupId
    const body: CreateSession = {
      workflowId: chosen.id,
      driver: 'builtin',
      ...(group !== undefined && group !== '' && { groupId: group }),
      ...(proposal.trim() !== '' && { proposal: textOrStructure(proposal) }),
      ...(inputs.trim() !== '' && { inputs: readJson(inputs) }),
    }
    try {
      // The same key as long as the inputs are the same: a retry must not create a second run.
      const text = JSON.stringify(body)
      if (asked.current?.body !== text) asked.current = { body: text, key: String(Date.now() + Math.random()) }
      const headers = { 'idempotency-key': asked.current.key }
      // Its page must be there before it starts: what is written before anybody listens is not sent again.
      await sessionCode.load().catch(() => undefined)
      const session = await request<WorkflowSession>('POST', '/sessions', { body, headers })
      onClose()
      noteCreated(session.id)
      goTo({ page: 'session', sessionId: session.id, filters: noFilters, view: plainView })
      await send(session.id, { type: 'start' }).catch((cause: unknown) =>
        showNotice(t.refused(t.start), reasonOf(cause)),
      )
    } catch (cause) {
      setError(reasonOf(cause))
      // A refusal is final; after a lost answer it is unknown whether the session was created.
      if (cause instanceof ReliveError && !cause.retryable) asked.current = undefined
      setBusy(false)
    }
  }
  return (
    <Dialog title={t.newRun} onClose={onClose}>
      <form className="start-form" onSubmit={(event) => void submit(event)}>
        <p className="faint">{t.newRunIntro}</p>
        {isLoaded && workflows.length === 0 ? (
          <p>{t.noWorkflows}</p>
        ) : (
          <label>
            {t.workflow}
            <select value={chosen?.id ?? ''} onChange={(event) => setWorkflowId(event.target.value)}>
              {workflows.map(({ id, name, graph }) => (
                <option key={id} value={id}>
                  {name} · {t.nodeCount(Object.keys(graph.nodes).length)}
                </option>
              ))}
            </select>
          </label>
        )}
        {chosen?.graph.description !== undefined && <p className="faint description">{chosen.graph.description}</p>}
        {groups.length > 0 && (
          <label>
            {t.group}
            <select value={groupId || (chosen?.groupId ?? '')} onChange={(event) => setGroupId(event.target.value)}>
              <option value="">{t.noGroup}</option>
              {groups.map(({ id, name }) => (
                <option key={id} value={id}>
                  {name}
                </option>
              ))}
            </select>
          </label>
        )}
        <label>
          {t.proposal}
          <textarea
            rows={4}
            dir="auto"
            placeholder={t.proposalHint}
            value={proposal}
            onChange={(event) => setProposal(event.target.value)}
          />
        </label>
        <label>
          {t.inputs}
          <textarea
            rows={3}
            className="mono"
            placeholder={t.inputsHint}
            value={inputs}
            aria-invalid={!inputsAreFine}
            onChange={(event) => setInputs(event.target.value)}
          />
          {!inputsAreFine && <span className="error-line">{t.invalidJson}</span>}
        </label>
        {error !== undefined && (
          <p className="error-line" role="alert">
            {error}
          </p>
        )}
        <div className="buttons end">
          <button type="button" onClick={onClose}>
            {t.cancelDialog}
          </button>
          <button type="submit" className="primary" disabled={chosen === undefined || isBusy || !inputsAreFine}>
            {isBusy ? t.starting : t.startRun}
          </button>
        </div>
      </form>
    </Dialog>
  )
}

function isJsonOrEmpty(text: string): boolean {
  return text.trim() === '' || readJson(text) !== undefined
}
