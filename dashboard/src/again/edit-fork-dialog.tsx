import '../styles/edit-fork.css'

import type { WorkflowSession } from '@relive/types'
import { useEffect, useState } from 'react'

import { useText } from '../i18n/text'
import { useMoreText } from '../more/text'
import { reasonOf } from '../session/steering'
import { Dialog } from '../ui/dialog'
import { showNotice } from '../ui/notices'
import { EditChanges } from './edit-changes'
import type { Draft } from './edit-drafts'
import { EditForkActions } from './edit-fork-actions'
import { TargetChoice } from './edit-target'
import { EditValue } from './edit-value'
import { keyOf, type Target } from './edits'
import { type Moment, readMoment } from './moment'

interface EditForkDialogProps {
  sessionId: string
  revision: number
  /** What is to be changed first. */
  first?: Target | undefined
  onClose(): void
}

/** Changes a moment of a run, and goes on from there in a fork. */
export function EditForkDialog({ sessionId, revision, first, onClose }: EditForkDialogProps) {
  const t = useText()
  const m = useMoreText()
  const [asked, setAsked] = useState(revision)
  const { moment, error } = useMomentAt(sessionId, asked)
  const [target, setTarget] = useState<Target | undefined>(first)
  const [drafts, setDrafts] = useState<ReadonlyMap<string, Draft>>(new Map())
  const [half, setHalf] = useState<WorkflowSession>()
  const close = () => {
    // Closing is no answer to what became of the fork.
    if (half !== undefined) showNotice(m.forkUnchanged, m.forkLeft(half.id))
    onClose()
  }
  return (
    <Dialog title={m.editForkTitle} onClose={close} isWide>
      {error !== undefined && (
        <p className="error-line" role="alert">
          {error}
        </p>
      )}
      {moment === undefined && error === undefined && <p className="faint">{t.loading}</p>}
      {moment === null && <p>{m.onlyEnded}</p>}
      {moment != null && (
        <>
          <p>{t.forkIntro(moment.session.revision)}</p>
          {moment.wasEnded && <p className="dim">{m.beforeEnd(moment.session.revision)}</p>}
          <TargetChoice moment={moment} target={target} onChoose={setTarget} />
          {target !== undefined && (
            <EditValue
              key={`${keyOf(target)} ${moment.session.revision}`}
              sessionId={sessionId}
              moment={moment}
              target={target}
              draft={drafts.get(keyOf(target))}
              onChange={(draft) => setDrafts(new Map(drafts).set(keyOf(target), draft))}
              onMove={setAsked}
            />
          )}
          <EditChanges
            drafts={drafts}
            onDiscard={(key) => setDrafts(new Map([...drafts].filter(([id]) => id !== key)))}
          />
        </>
      )}
      <EditForkActions
        sessionId={sessionId}
        moment={moment}
        drafts={drafts}
        half={half}
        onHalf={setHalf}
        onClose={onClose}
      />
    </Dialog>
  )
}

/** `null`: there is no moment that could be changed. */
function useMomentAt(sessionId: string, revision: number) {
  const [moment, setMoment] = useState<Moment | null>()
  const [error, setError] = useState<string>()
  useEffect(() => {
    const controller = new AbortController()
    const read = async () => {
      try {
        const found = (await readMoment(sessionId, revision, controller.signal)) ?? null
        if (!controller.signal.aborted) setMoment(found)
      } catch (cause) {
        if (!controller.signal.aborted) setError(reasonOf(cause))
      }
    }
    void read()
    return () => controller.abort()
  }, [sessionId, revision])
  return { moment, error }
}
