import type { GraphNode, NodeStateSnapshot } from '@relive/types'
import { useEffect, useState } from 'react'

import { useMe } from '../access/me'
import { prefer, usePreferences } from '../app/preferences'
import { ago, ahead, millis } from '../format/time'
import { useText } from '../i18n/text'
import { ConfirmDialog } from '../ui/confirm-dialog'
import { showNotice } from '../ui/notices'
import { TickingText } from '../ui/ticking-text'
import { editKey, useKeptEdit } from './kept-edit'
import { answerOf, type Decision } from './review'
import { selectNode } from './selection'
import { useOpenSession, useSession } from './session-context'
import { reasonOf, send } from './steering'
import { type Draft, type Given, givenTo, useDraft, useQuestion, wordCount } from './use-draft'

/** A pending review: the draft, and the possible answers. */
export function ReviewCard({ nodeId }: { nodeId: string }) {
  const t = useText()
  const { store } = useOpenSession()
  const node = useSession((state) => state.live?.nodes[nodeId])
  const name = useSession((state) => state.live?.nodes[nodeId]?.name ?? state.graph?.nodes[nodeId]?.name ?? nodeId)
  const since = useSession((state) => state.lanes.get(nodeId)?.bars.at(-1)?.from)
  const draft = useDraft(nodeId, node?.attempt)
  const question = useQuestion(nodeId, node?.attempt)
  const minutes = useSession((state) => timeoutOf(state.graph?.nodes[nodeId]))
  const mayBeSkipped = useSession((state) => isSkippable(state.graph?.nodes[nodeId]))
  const preferred = usePreferences().reviewer
  // The server knows a signed-in user, and adds the name to the answer.
  const isKnown = useMe()?.actor !== undefined
  const reviewer = isKnown ? '' : preferred
  const [{ edited, comment }, change] = useKeptEdit(editKey(store.latest.id, nodeId, node?.attempt))
  const setEdited = (text: string | undefined) => change({ edited: text })
  const [isAsked, setAsked] = useState(false)
  const [isBusy, setBusy] = useState(false)
  const decide = async (decision: Decision) => {
    setBusy(true)
    try {
      await send(store.latest.id, {
        type: 'signal',
        nodeId,
        payload: answerOf({ decision, draft, edited, comment, reviewer }),
      })
      change({ edited: undefined, comment: '' })
    } catch (error) {
      showNotice(t.refused(t.signal), reasonOf(error))
    } finally {
      setBusy(false)
    }
  }
  const isEditing = edited !== undefined
  return (
    <section className="review" aria-label={t.reviewWaiting(name)}>
      <header>
        <button type="button" className="review-title" onClick={() => selectNode(nodeId, 'panel')}>
          {t.reviewWaiting(name)}
        </button>
        <Asked node={node} since={since} words={draft == null ? undefined : wordCount(draft.text)} minutes={minutes} />
      </header>
      {question !== undefined && (
        <p className="review-question" tabIndex={0} dir="auto">
          {question}
        </p>
      )}
      {isEditing ? (
        <textarea
          className="draft"
          aria-label={t.draft}
          dir="auto"
          rows={7}
          value={edited}
          onChange={(event) => setEdited(event.target.value)}
          autoFocus
        />
      ) : (
        <DraftText draft={draft} hasQuestion={question !== undefined} />
      )}
      <GivenBelow draft={draft} />
      <div className="review-words">
        <input
          aria-label={t.comment}
          placeholder={t.comment}
          value={comment}
          onChange={(event) => change({ comment: event.target.value })}
        />
        {!isKnown && (
          <input
            aria-label={t.reviewer}
            placeholder={t.reviewer}
            autoComplete="name"
            maxLength={200}
            value={reviewer}
            onChange={(event) => prefer({ reviewer: event.target.value })}
          />
        )}
      </div>
      <div className="buttons">
        {isEditing ? (
          <>
            <button type="button" className="primary" disabled={isBusy} onClick={() => void decide('modify')}>
              {t.sendEdited}
            </button>
            <button type="button" onClick={() => setEdited(undefined)}>
              {t.back}
            </button>
          </>
        ) : (
          <>
            <button type="button" className="primary" disabled={isBusy} onClick={() => void decide('approve')}>
              {t.approve}
            </button>
            <button type="button" disabled={isBusy} onClick={() => setEdited(draft?.text ?? '')}>
              {t.edit}
            </button>
            <button type="button" className="danger" disabled={isBusy} onClick={() => setAsked(true)}>
              {t.reject}
            </button>
            {mayBeSkipped && (
              <button type="button" className="quiet" disabled={isBusy} onClick={() => void decide('skip')}>
                {t.skip}
              </button>
            )}
          </>
        )}
      </div>
      {isAsked && (
        <ConfirmDialog
          title={t.confirm.reject.title}
          consequence={t.confirm.reject.consequence}
          action={t.reject}
          onConfirm={() => void decide('reject')}
          onClose={() => setAsked(false)}
        />
      )}
    </section>
  )
}

/** A question without a draft stands for itself. */
function DraftText({ draft, hasQuestion }: { draft: Draft; hasQuestion: boolean }) {
  const t = useText()
  if (draft === null) return hasQuestion ? null : <p className="faint">{t.noDraft}</p>
  return (
    <div className="draft" role="region" aria-label={t.draft} tabIndex={0} dir="auto">
      {draft?.text ?? <span className="faint">{t.loading}</span>}
    </div>
  )
}

/** The run's proposal, unless it is the draft itself, and its inputs. Without a draft they are what is decided on. */
function GivenBelow({ draft }: { draft: Draft }) {
  const t = useText()
  const { store } = useOpenSession()
  const [given, setGiven] = useState<Given>({})
  useEffect(() => {
    const controller = new AbortController()
    void givenTo(store.latest.id, controller.signal).then((found) => {
      if (!controller.signal.aborted) setGiven(found)
    })
    return () => controller.abort()
  }, [store])
  if (draft === undefined) return null
  const parts: [string, string | undefined][] = [
    [t.proposal, given.proposal?.text === draft?.text ? undefined : given.proposal?.text],
    [t.inputs, given.inputs?.text],
  ]
  return parts.map(
    ([title, text]) =>
      text !== undefined && (
        <details key={title} className="review-proposal" open={draft === null}>
          <summary>{title}</summary>
          <div className="draft" role="region" aria-label={title} tabIndex={0} dir="auto">
            {text}
          </div>
        </details>
      ),
  )
}

/** Whether the run may continue without an answer, as graphs of the built-in engine define it. */
function isSkippable(planned: GraphNode | undefined): boolean {
  const { properties } = planned ?? {}
  return properties?.['allow_skip'] === true || properties?.['allowSkip'] === true
}

/** The time limit of a review, as graphs of the built-in engine define it. */
function timeoutOf(planned: GraphNode | undefined): number | undefined {
  const { properties } = planned ?? {}
  const minutes = properties?.['timeoutMinutes'] ?? properties?.['timeout_minutes']
  return typeof minutes === 'number' ? minutes : undefined
}

function Asked({
  node,
  since,
  words,
  minutes,
}: {
  node: NodeStateSnapshot | undefined
  since: number | undefined
  words: number | undefined
  /** How long an answer is waited for. */
  minutes: number | undefined
}) {
  const t = useText()
  const from = since ?? millis(node?.startedAt)
  const attempt = node?.attempt ?? 1
  return (
    <p className="num">
      {attempt > 1 && `${t.round(attempt)} · `}
      {words !== undefined && `${t.draft} · ${t.words(words)} · `}
      {from !== undefined && <TickingText text={() => t.asked(ago(Date.now() - from, t.locale))} />}
      {from !== undefined && minutes !== undefined && (
        <>
          {' · '}
          <TickingText text={() => t.due(ahead(from + minutes * 60_000 - Date.now(), t.locale))} />
        </>
      )}
    </p>
  )
}
