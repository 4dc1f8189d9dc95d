import type { WorkflowSession } from '@relive/types'
import { useMemo, useRef, useState } from 'react'

import { useMay } from '../access/me'
import { request } from '../api/http'
import { noFilters, plainView } from '../app/address'
import { goTo } from '../app/place'
import { useMoreText } from '../more/text'
import { noteCreated } from '../session/created-here'
import { reasonOf } from '../session/steering'
import { type Draft, editsOf } from './edit-drafts'
import { forkChanged, Unchanged } from './edit-fork'
import { commandsFor } from './edits'
import type { Moment } from './moment'

interface EditForkActionsProps {
  sessionId: string
  moment: Moment | null | undefined
  drafts: ReadonlyMap<string, Draft>
  /** The fork of an attempt whose changes were refused. */
  half: WorkflowSession | undefined
  onHalf(fork: WorkflowSession | undefined): void
  onClose(): void
}

/** Forks with the changes, and says what became of a fork whose changes were refused. */
export function EditForkActions({ sessionId, moment, drafts, half, onHalf, onClose }: EditForkActionsProps) {
  const m = useMoreText()
  const mayDelete = useMay('administer')
  const [isBusy, setBusy] = useState(false)
  const [error, setError] = useState<string>()
  const [key] = useState(() => `edit-${sessionId}-${Date.now()}-${Math.random()}`)
  const wish = useRef<{ text: string; key: string }>(undefined)
  const { edits, isFine } = useMemo(() => editsOf(drafts), [drafts])
  const attempt = async (act: () => Promise<void>) => {
    setBusy(true)
    setError(undefined)
    try {
      await act()
    } catch (cause) {
      setError(cause instanceof Unchanged ? cause.message : reasonOf(cause))
      if (cause instanceof Unchanged) onHalf(cause.fork)
    } finally {
      setBusy(false)
    }
  }
  const open = (id: string) => {
    onHalf(undefined)
    onClose()
    noteCreated(id)
    goTo({ page: 'session', sessionId: id, filters: noFilters, view: plainView })
  }
  const fork = (start: boolean) =>
    attempt(async () => {
      if (moment == null) return
      const { revision } = moment.session
      const changes = commandsFor(edits, moment.session)
      const text = JSON.stringify([revision, changes, start])
      // What was corrected after a refusal is another wish; the same one is carried out once.
      if (wish.current?.text !== text) wish.current = { text, key: `${key}-${Date.now()}-${Math.random()}` }
      const { id } = await forkChanged({
        sessionId,
        revision,
        changes,
        start,
        forkKey: `${key}-${revision}`,
        changesKey: wish.current.key,
      })
      open(id)
    })
  const remove = (id: string) =>
    attempt(async () => {
      await request('DELETE', `/sessions/${id}`)
      onHalf(undefined)
      onClose()
    })
  const isReady = moment != null && edits.length > 0 && isFine && !isBusy
  return (
    <>
      {error !== undefined && (
        <div role="alert" className="edit-error">
          {half !== undefined && <p>{m.forkUnchanged}</p>}
          <p className="error-line">{error}</p>
        </div>
      )}
      {half !== undefined && (
        <div className="buttons">
          <button type="button" disabled={isBusy} onClick={() => open(half.id)}>
            {m.openUnchanged}
          </button>
          {mayDelete && (
            <button type="button" className="danger" disabled={isBusy} onClick={() => void remove(half.id)}>
              {m.deleteFork}
            </button>
          )}
        </div>
      )}
      <div className="buttons end">
        <button type="button" disabled={!isReady} onClick={() => void fork(false)}>
          {m.forkWithChanges}
        </button>
        <button type="button" className="primary" disabled={!isReady} onClick={() => void fork(true)}>
          {m.forkChangedAndStart}
        </button>
      </div>
    </>
  )
}
