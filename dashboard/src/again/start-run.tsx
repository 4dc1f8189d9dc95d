import { type CreateSession, ReliveError, type WorkflowSession } from '@relive/types'
import { useRef } from 'react'

import { request } from '../api/http'
import { noFilters, plainView } from '../app/address'
import { goTo } from '../app/place'
import { useText } from '../i18n/text'
import { noteCreated } from '../session/created-here'
import { reasonOf, send } from '../session/steering'
import { JsonField, TextArea } from '../ui/fields'
import { showNotice } from '../ui/notices'

interface Start {
  /** Loads the page of runs, where it may not be there yet: what is written before anybody listens is not sent again. */
  readonly prepare?: (() => Promise<unknown>) | undefined
  /** An engine outside takes it up, and starts it itself. */
  readonly isExternal?: boolean | undefined
  onCreated(): void
}

/** Creates a session, opens its page and starts it. Rejects if it was not created. */
export function useStartRun({ prepare, isExternal = false, onCreated }: Start) {
  const t = useText()
  const asked = useRef<{ body: string; key: string }>(undefined)
  return async (body: CreateSession): Promise<void> => {
    // The same key as long as the same is asked for: a retry must not create a second run.
    const text = JSON.stringify(body)
    if (asked.current?.body !== text) asked.current = { body: text, key: String(Date.now() + Math.random()) }
    try {
      await prepare?.().catch(() => undefined)
      const session = await request<WorkflowSession>('POST', '/sessions', {
        body,
        headers: { 'idempotency-key': asked.current.key },
      })
      onCreated()
      noteCreated(session.id)
      goTo({ page: 'session', sessionId: session.id, filters: noFilters, view: plainView })
      if (isExternal) return
      await send(session.id, { type: 'start' }).catch((cause: unknown) =>
        showNotice(t.refused(t.start), reasonOf(cause)),
      )
    } catch (cause) {
      // A refusal is final; after a lost answer it is unknown whether the session was created.
      if (cause instanceof ReliveError && !cause.retryable) asked.current = undefined
      throw cause
    }
  }
}

interface FieldProps {
  value: string
  onChange(value: string): void
}

/** What a run is about. */
export function ProposalField(props: FieldProps) {
  const t = useText()
  return <TextArea label={t.proposal} rows={3} placeholder={t.proposalHint} {...props} />
}

/** What a run is given, as JSON. */
export function InputsField(props: FieldProps) {
  const t = useText()
  return <JsonField label={t.inputs} rows={4} placeholder={t.inputsHint} {...props} />
}
