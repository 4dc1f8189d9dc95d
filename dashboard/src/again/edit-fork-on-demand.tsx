import { useState } from 'react'

import { useMay } from '../access/me'
import { onDemand, useOnDemand } from '../app/on-demand'
import { useText } from '../i18n/text'
import { useOpenSession } from '../session/session-context'
import { shownSession } from '../session/state'
import type { Target } from './edits'

const code = onDemand(() => import('./edit-fork-dialog'))

interface EditForkProps {
  sessionId: string
  revision: number
  first?: Target | undefined
  onClose(): void
}

/** The dialog that changes a moment and goes on from it; loaded when it is first opened. */
export function EditFork(props: EditForkProps) {
  const loaded = useOnDemand(code)
  return loaded === undefined ? null : <loaded.EditForkDialog {...props} />
}

/** Opens it for something of the moment that is looked at, if the caller may both fork and change. */
export function EditForkButton({ first }: { first: Target }) {
  const t = useText()
  const { store } = useOpenSession()
  const mayFork = useMay('fork', store.latest.id)
  const mayEdit = useMay('edit')
  const [revision, setRevision] = useState<number>()
  if (!mayFork || !mayEdit) return null
  return (
    <>
      <button
        type="button"
        className="quiet edit-fork"
        title={t.editAndForkHint}
        onClick={() => setRevision(shownSession(store.shown())?.revision)}
      >
        {t.editAndFork}
      </button>
      {revision !== undefined && (
        <EditFork
          sessionId={store.latest.id}
          revision={revision}
          first={first}
          onClose={() => setRevision(undefined)}
        />
      )}
    </>
  )
}
