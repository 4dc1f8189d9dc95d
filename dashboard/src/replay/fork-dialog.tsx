import type { WorkflowSession } from '@relive/types'
import { useState } from 'react'

import { useMay } from '../access/me'
import { EditFork } from '../again/edit-fork-on-demand'
import { request } from '../api/http'
import { noFilters, plainView } from '../app/address'
import { goTo } from '../app/place'
import { useText } from '../i18n/text'
import { noteCreated } from '../session/created-here'
import { reasonOf } from '../session/steering'
import { Dialog } from '../ui/dialog'

interface ForkDialogProps {
  sessionId: string
  revision: number
  onClose(): void
}

export function ForkDialog({ sessionId, revision, onClose }: ForkDialogProps) {
  const t = useText()
  const mayEdit = useMay('edit')
  const [isEditing, setEditing] = useState(false)
  const [isBusy, setBusy] = useState(false)
  const [error, setError] = useState<string>()
  // One key for all attempts of this dialog: a repeated request must not fork twice.
  const [key] = useState(() => `${sessionId}-${revision}-${Date.now()}`)
  const fork = async (start: boolean) => {
    setBusy(true)
    setError(undefined)
    try {
      const body = { revision, ...(start && { start }) }
      const headers = { 'idempotency-key': `${key}-${start}` }
      const session = await request<WorkflowSession>('POST', `/sessions/${sessionId}/fork`, { body, headers })
      onClose()
      noteCreated(session.id)
      goTo({ page: 'session', sessionId: session.id, filters: noFilters, view: plainView })
    } catch (cause) {
      setError(reasonOf(cause))
      setBusy(false)
    }
  }
  if (isEditing) return <EditFork sessionId={sessionId} revision={revision} onClose={onClose} />
  return (
    <Dialog title={t.forkTitle} onClose={onClose}>
      <p>{t.forkIntro(revision)}</p>
      {error !== undefined && (
        <p className="error-line" role="alert">
          {error}
        </p>
      )}
      <div className="buttons end">
        <button type="button" onClick={onClose}>
          {t.cancelDialog}
        </button>
        {mayEdit && (
          <button type="button" disabled={isBusy} onClick={() => setEditing(true)}>
            {t.editFirst}
          </button>
        )}
        <button type="button" disabled={isBusy} onClick={() => void fork(true)}>
          {t.forkAndStart}
        </button>
        <button type="button" className="primary" disabled={isBusy} onClick={() => void fork(false)}>
          {t.forkOnly}
        </button>
      </div>
    </Dialog>
  )
}
