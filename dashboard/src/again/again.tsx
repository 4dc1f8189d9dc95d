import type { Created, SessionEntity } from '@relive/types'
import { useState } from 'react'

import { useMay } from '../access/me'
import { get } from '../api/http'
import { noFilters, plainView } from '../app/address'
import { onDemand, useOnDemand } from '../app/on-demand'
import { goTo, linkTo } from '../app/place'
import { useText } from '../i18n/text'
import { ForkDialog } from '../replay/fork-dialog'
import { failedNode } from '../run/failed'
import { noteCreated } from '../session/created-here'
import { useOpenSession, useReadableSession, useSession } from '../session/session-context'
import { shownSession } from '../session/state'
import { reasonOf } from '../session/steering'
import { hasEnded } from '../status/status'
import { showNotice } from '../ui/notices'
import { EditFork } from './edit-fork-on-demand'
import { forkAndStart, readCreated, revisionBefore } from './go-on'

const dialogCode = onDemand(() => import('./rerun-dialog'))

/** What a run is repeated from: read when it is asked for, since most who look at a run do not. */
interface Again {
  readonly created: Created
  readonly entity: SessionEntity
}

/** The same run once more, on from where it failed, or beside another one. */
export function AgainButtons() {
  const t = useText()
  const { store } = useOpenSession()
  const { id } = store.latest
  const mayCreate = useMay('create')
  const mayFork = useMay('fork', id)
  const mayEdit = useMay('edit')
  const parentId = useSession((state) => state.live?.parentId)
  const isOver = useSession((state) => state.live !== undefined && hasEnded(state.live.status))
  const failed = useReadableSession((state) =>
    state.live?.status === 'failed' ? failedNode(state.live)?.id : undefined,
  )
  const [again, setAgain] = useState<Again>()
  const [isBusy, setBusy] = useState(false)
  const [forkAt, setForkAt] = useState<number>()
  const [editAt, setEditAt] = useState<number>()
  const attempt = async (what: string, act: () => Promise<void>) => {
    setBusy(true)
    try {
      await act()
    } catch (error) {
      showNotice(t.refused(what), reasonOf(error))
    } finally {
      setBusy(false)
    }
  }
  const repeat = () =>
    attempt(t.runAgain, async () => {
      const [created, entity] = await Promise.all([readCreated(id), get<SessionEntity>(`/sessions/${id}/entity`)])
      setAgain({ created, entity })
    })
  const goOn = (nodeId: string) =>
    attempt(t.goOn, async () => {
      const [created, revision] = await Promise.all([readCreated(id), revisionBefore(id, nodeId)])
      if (revision === undefined) throw new Error(t.noMomentBefore)
      // Only the engine of the server is known to take up a fork.
      if (created.driver !== 'builtin') return setForkAt(revision)
      const fork = await forkAndStart(id, revision, `go-on-${id}-${revision}-${Date.now()}`)
      noteCreated(fork.id)
      goTo({ page: 'session', sessionId: fork.id, filters: noFilters, view: plainView })
    })
  const editAndGoOn = (nodeId: string) =>
    attempt(t.editAndGoOn, async () => {
      const revision = await revisionBefore(id, nodeId)
      if (revision === undefined) throw new Error(t.noMomentBefore)
      setEditAt(revision)
    })
  const compareWith = (b: string) =>
    linkTo({ page: 'compare', options: { a: b === '' ? id : b, b: b === '' ? '' : id } })
  return (
    <div className="buttons again" role="group" aria-label={t.again}>
      {mayFork && failed !== undefined && (
        <button type="button" className="primary" disabled={isBusy} onClick={() => void goOn(failed)}>
          {t.goOn}
        </button>
      )}
      {mayFork && mayEdit && failed !== undefined && (
        <button type="button" disabled={isBusy} onClick={() => void editAndGoOn(failed)}>
          {t.editAndGoOn}
        </button>
      )}
      {mayCreate && isOver && (
        <button type="button" disabled={isBusy} onClick={() => void repeat()}>
          {t.runAgain}
        </button>
      )}
      {parentId !== undefined && (
        <a className="button" {...compareWith(parentId)}>
          {t.compareWithParent}
        </a>
      )}
      <a className="button" {...compareWith('')}>
        {t.compareWithRun}
      </a>
      {again !== undefined && <Rerun again={again} onClose={() => setAgain(undefined)} />}
      {editAt !== undefined && <EditFork sessionId={id} revision={editAt} onClose={() => setEditAt(undefined)} />}
      {forkAt !== undefined && <ForkDialog sessionId={id} revision={forkAt} onClose={() => setForkAt(undefined)} />}
    </div>
  )
}

function Rerun({ again, onClose }: { again: Again; onClose: () => void }) {
  const code = useOnDemand(dialogCode)
  const graph = useSession((state) => state.graph)
  const labels = useSession(shownSession)
  if (code === undefined) return null
  return <code.RerunDialog {...again} graph={graph ?? undefined} labels={labels} onClose={onClose} />
}
