import type { NodeStateSnapshot, ReviewAction } from '@relive/types'
import { useState } from 'react'

import { ago, millis } from '../format/time'
import { useText } from '../i18n/text'
import { showNotice } from '../ui/notices'
import { TickingText } from '../ui/ticking-text'
import { selectNode } from './selection'
import { useOpenSession, useSession } from './session-context'
import { reasonOf, send } from './steering'
import { draftText, useDraft, wordCount } from './use-draft'

/** A review that waits: the draft, and what can be answered. */
export function ReviewCard({ nodeId }: { nodeId: string }) {
  const t = useText()
  const { store } = useOpenSession()
  const node = useSession((state) => state.live?.nodes[nodeId])
  const name = useSession((state) => state.live?.nodes[nodeId]?.name ?? state.graph?.nodes[nodeId]?.name ?? nodeId)
  const since = useSession((state) => state.lanes.get(nodeId)?.bars.at(-1)?.from)
  const draft = useDraft(nodeId, node?.attempt)
  const [edited, setEdited] = useState<string>()
  const [comment, setComment] = useState('')
  const [busy, setBusy] = useState<ReviewAction>()
  const text = draftText(draft)
  const answer = async (action: ReviewAction) => {
    setBusy(action)
    const data = { ...(action === 'modify' && { content: edited ?? text, text: edited ?? text }), ...(comment.trim() !== '' && { comment: comment.trim() }) }
    const review = { action, ...(Object.keys(data).length > 0 && { data }) }
    try {
      await send(store.latest.id, { type: 'signal', nodeId, payload: { review } })
      setEdited(undefined)
      setComment('')
    } catch (error) {
      showNotice(t.refused(t.signal), reasonOf(error))
    } finally {
      setBusy(undefined)
    }
  }
  const isEditing = edited !== undefined
  return (
    <section className="review" aria-label={t.reviewWaiting(name)}>
      <header>
        <button type="button" className="review-title" onClick={() => selectNode(nodeId, 'panel')}>
          {t.reviewWaiting(name)}
        </button>
        <Asked node={node} since={since} words={text === undefined ? undefined : wordCount(text)} />
      </header>
      {isEditing ? (
        <textarea className="draft" aria-label={t.draft} dir="auto" rows={7} value={edited} onChange={(event) => setEdited(event.target.value)} autoFocus />
      ) : (
        <div className="draft" role="region" aria-label={t.draft} tabIndex={0} dir="auto">
          {text ?? <span className="faint">{draft === undefined ? t.loading : t.noDraft}</span>}
        </div>
      )}
      <input className="comment" aria-label={t.comment} placeholder={t.comment} value={comment} onChange={(event) => setComment(event.target.value)} />
      <div className="buttons">
        {isEditing ? (
          <>
            <button type="button" className="primary" disabled={busy !== undefined} onClick={() => void answer('modify')}>
              {t.sendEdited}
            </button>
            <button type="button" onClick={() => setEdited(undefined)}>
              {t.back}
            </button>
          </>
        ) : (
          <>
            <button type="button" className="primary" disabled={busy !== undefined} onClick={() => void answer('approve')}>
              {t.approve}
            </button>
            <button type="button" disabled={busy !== undefined} onClick={() => setEdited(text ?? '')}>
              {t.edit}
            </button>
            <button type="button" disabled={busy !== undefined} onClick={() => void answer('reject')}>
              {t.reject}
            </button>
          </>
        )}
      </div>
    </section>
  )
}

function Asked({ node, since, words }: { node: NodeStateSnapshot | undefined; since: number | undefined; words: number | undefined }) {
  const t = useText()
  const from = since ?? millis(node?.startedAt)
  const attempt = node?.attempt ?? 1
  return (
    <p className="num">
      {attempt > 1 && `${t.round(attempt)} · `}
      {words !== undefined && `${t.draft} · ${t.words(words)} · `}
      {from !== undefined && <TickingText text={() => t.asked(ago(Date.now() - from, t.locale))} />}
    </p>
  )
}
