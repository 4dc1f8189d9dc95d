import type { DeletedSessions, SessionSelection } from '@relive/types'
import { useEffect, useState } from 'react'

import { useMay } from '../access/me'
import { request } from '../api/http'
import type { ListFilters } from '../app/address'
import { useText } from '../i18n/text'
import { reasonOf } from '../session/steering'
import { Dialog } from '../ui/dialog'
import { toSelection } from './condition'

/** Deletes every session that the filters find, also those that are not in the page. */
export function DeleteMatching({ filters }: { filters: ListFilters }) {
  const t = useText()
  const mayDelete = useMay('administer')
  // Fixed when it is asked for: what was counted is what is deleted, and no relative time moves on meanwhile.
  const [selection, setSelection] = useState<SessionSelection>()
  if (!mayDelete) return null
  const canSelect = toSelection(filters, 0) !== undefined
  return (
    <>
      {canSelect && (
        <button type="button" className="quiet danger" onClick={() => setSelection(toSelection(filters, Date.now()))}>
          {t.deleteMatching}
        </button>
      )}
      {selection !== undefined && (
        <DeleteMatchingDialog selection={selection} onClose={() => setSelection(undefined)} />
      )}
    </>
  )
}

interface Progress {
  readonly counted: DeletedSessions | undefined
  readonly deleted: number
  readonly phase: 'counting' | 'asking' | 'deleting' | 'done'
  readonly error: string | undefined
}

function DeleteMatchingDialog({ selection, onClose }: { selection: SessionSelection; onClose: () => void }) {
  const t = useText()
  const [stop] = useState(() => new AbortController())
  const [state, setState] = useState<Progress>({ counted: undefined, deleted: 0, phase: 'counting', error: undefined })
  const change = (next: Partial<Progress>) => setState((now) => ({ ...now, ...next }))
  useEffect(() => {
    const reading = new AbortController()
    const body = { filter: selection, dryRun: true }
    request<DeletedSessions>('POST', '/sessions/delete', { body, signal: reading.signal }).then(
      (counted) => setState((now) => ({ ...now, counted, phase: 'asking' })),
      (cause: unknown) => {
        if (!reading.signal.aborted) setState((now) => ({ ...now, error: reasonOf(cause), phase: 'done' }))
      },
    )
    return () => reading.abort()
  }, [selection])
  const remove = async () => {
    change({ phase: 'deleting', error: undefined })
    let deleted = 0
    try {
      // A request deletes some of many. One that finds nothing to delete any more is the last.
      for (let hasMore = true; hasMore && !stop.signal.aborted; ) {
        const body = { filter: selection }
        const answer = await request<DeletedSessions>('POST', '/sessions/delete', { body, signal: stop.signal })
        deleted += answer.deleted
        change({ deleted })
        hasMore = answer.hasMore && answer.deleted > 0
      }
      change({ phase: 'done' })
    } catch (cause) {
      change({ phase: 'done', error: stop.signal.aborted ? undefined : reasonOf(cause) })
    }
  }
  const close = () => {
    stop.abort()
    onClose()
  }
  const { counted, deleted, phase, error } = state
  return (
    <Dialog title={t.deleteMatching} onClose={close}>
      <div role="status" className="delete-matching">
        {phase === 'counting' && <p>{t.counting}</p>}
        {counted !== undefined && phase === 'asking' && (
          <p>{counted.matched === 0 ? t.noMatches : t.deleteMatchingCount(counted.matched, counted.hasMore)}</p>
        )}
        {phase === 'deleting' && <p className="num">{t.deletedSoFar(deleted)}</p>}
        {phase === 'done' && error === undefined && <p className="num">{t.deletedInAll(deleted)}</p>}
      </div>
      {phase === 'asking' && counted !== undefined && counted.matched > 0 && <p>{t.deleteForGood}</p>}
      {error !== undefined && (
        <p className="error-line" role="alert">
          {deleted > 0 && `${t.deletedInAll(deleted)} `}
          {error}
        </p>
      )}
      <div className="buttons end">
        <button type="button" onClick={close}>
          {phase === 'done' ? t.close : phase === 'deleting' ? t.stop : t.back}
        </button>
        {phase === 'asking' && counted !== undefined && counted.matched > 0 && (
          <button type="button" className="danger" onClick={() => void remove()}>
            {t.deleteCount(counted.matched, counted.hasMore)}
          </button>
        )}
      </div>
    </Dialog>
  )
}
