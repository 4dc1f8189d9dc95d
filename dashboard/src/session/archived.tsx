import type { ArchivedSession, WorkflowSession } from '@relive/types'
import { type ReactNode, useEffect, useState } from 'react'

import { useMay } from '../access/me'
import { get, request } from '../api/http'
import { base } from '../app/base'
import { count } from '../format/number'
import { moment } from '../format/time'
import { useText } from '../i18n/text'
import { showNotice } from '../ui/notices'
import { reasonOf } from './steering'

/** What is shown in place of a session that is not there: that it is archived, and how it comes back; or `children`. */
export function Archived({ sessionId, onRestored, children }: ArchivedProps) {
  const t = useText()
  const mayRestore = useMay('restore')
  const [isRestoring, setIsRestoring] = useState(false)
  const found = useArchived(sessionId)
  if (found === 'asking') return null
  if (found === 'none') return children
  const restore = async () => {
    setIsRestoring(true)
    try {
      await request<WorkflowSession>('POST', `/archive/${sessionId}/restore`)
      onRestored()
    } catch (error) {
      setIsRestoring(false)
      showNotice(t.restoreFailed, reasonOf(error))
    }
  }
  const { session, archivedAt, counts, file } = found
  const name = session.name || session.workflowName || t.unnamed(session.id)
  return (
    <>
      <h1>{name}</h1>
      <p>
        <span className={`chip ${session.status}`}>{t.status[session.status]}</span>{' '}
        {t.archivedSince(moment(archivedAt, Date.now(), t.locale))}
      </p>
      <p>{t.archivedSize(count(counts.events), count(Math.ceil(file.bytes / 1024)))}</p>
      {mayRestore ? (
        <button type="button" className="primary" disabled={isRestoring} onClick={() => void restore()}>
          {isRestoring ? t.restoring : t.restore}
        </button>
      ) : (
        <p>{t.mayNotRestore}</p>
      )}
      <a href={`${base}/api/v1/archive/${sessionId}/export`} download>
        {t.downloadArchived}
      </a>
    </>
  )
}

interface ArchivedProps {
  sessionId: string
  onRestored: () => void
  children: ReactNode
}

/** The archived session; `none` if it is not in the archive, or the caller may not know. */
function useArchived(sessionId: string): ArchivedSession | 'asking' | 'none' {
  const [found, setFound] = useState<ArchivedSession | 'asking' | 'none'>('asking')
  useEffect(() => {
    const closing = new AbortController()
    setFound('asking')
    get<ArchivedSession>(`/archive/${sessionId}`, closing.signal).then(setFound, () => {
      if (!closing.signal.aborted) setFound('none')
    })
    return () => closing.abort()
  }, [sessionId])
  return found
}
