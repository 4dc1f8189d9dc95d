import type { WorkflowSession } from '@relive/types'
import { useEffect, useMemo, useRef, useState } from 'react'

import { useText } from '../i18n/text'
import { JsonEditor } from '../more/json-editor'
import { useMoreText } from '../more/text'
import { nodeName } from '../node/instances'
import { useSession } from '../session/session-context'
import { reasonOf } from '../session/steering'
import { showNotice } from '../ui/notices'
import { type Draft, isSame, marksOf, otherForm, textOf } from './edit-drafts'
import { endedAfter, type Target } from './edits'
import { type Moment, outputAt, revisionOfEnd } from './moment'

interface EditValueProps {
  sessionId: string
  moment: Moment
  target: Target
  draft: Draft | undefined
  onChange(draft: Draft): void
  onMove(revision: number): void
}

/** The value of what was chosen, for changing it. */
export function EditValue({ sessionId, moment, target, draft, onChange, onMove }: EditValueProps) {
  const t = useText()
  const m = useMoreText()
  const before = useValueOf(sessionId, moment, target)
  const newest = useRef(onChange)
  newest.current = onChange
  const isKnown = before !== undefined && before.error === undefined
  useEffect(() => {
    if (!isKnown) return
    const { value } = before
    // What was written stays, and is compared with what is there at this moment.
    if (draft === undefined || (!isSame(draft.before, value) && draft.text === textOf(draft.before)))
      newest.current({ target, before: value, text: textOf(value), isText: typeof value === 'string' })
    else if (!isSame(draft.before, value)) newest.current({ ...draft, before: value })
  }, [isKnown, before, draft, target])
  if (before?.error !== undefined) return <p className="error-line">{before.error}</p>
  if (draft === undefined) return <p className="faint">{t.loading}</p>
  const node = target.kind === 'output' ? moment.session.nodes[target.nodeId] : undefined
  return (
    <div className="editing">
      {draft.isText ? (
        <label className="editing-text">
          {m.newValue}
          <textarea
            rows={6}
            dir="auto"
            value={draft.text}
            onChange={(event) => onChange({ ...draft, text: event.target.value })}
          />
        </label>
      ) : (
        <JsonEditor
          label={m.newValueJson}
          rows={10}
          value={draft.text}
          marks={marksOf(draft, m.problem.json, m.repeatedMember)}
          onChange={(text) => onChange({ ...draft, text })}
        />
      )}
      <button type="button" className="quiet start" onClick={() => onChange(otherForm(draft))}>
        {draft.isText ? m.asJson : m.asText}
      </button>
      {target.kind === 'proposal' && !moment.isProposalKnown && <p className="dim">{m.newestProposal}</p>}
      {target.kind === 'context' && <p className="dim">{m.nullRemoves}</p>}
      {node !== undefined && node.status !== 'completed' && <p className="dim">{m.willComplete}</p>}
      {node !== undefined && <After sessionId={sessionId} nodeId={node.id} session={moment.session} onMove={onMove} />}
    </div>
  )
}

/** The nodes that ran with the output as it was; they do not run again. */
function After({
  sessionId,
  nodeId,
  session,
  onMove,
}: Pick<EditValueProps, 'sessionId' | 'onMove'> & { nodeId: string; session: WorkflowSession }) {
  const t = useText()
  const m = useMoreText()
  const graph = useSession((state) => state.graph)
  const after = useMemo(() => endedAfter(nodeId, session, graph), [nodeId, session, graph])
  const [isBusy, setBusy] = useState(false)
  if (after.length === 0) return null
  const move = async () => {
    setBusy(true)
    try {
      const revision = await revisionOfEnd(sessionId, nodeId, session.revision)
      if (revision !== undefined) onMove(revision)
    } catch (cause) {
      showNotice(t.refused(m.forkWhereItEnded), reasonOf(cause))
    } finally {
      setBusy(false)
    }
  }
  return (
    <p className="edit-after">
      {m.ranAfter(
        after.length,
        after
          .slice(0, 3)
          .map((id) => nodeName(id, session, graph))
          .join(', '),
      )}{' '}
      <button type="button" disabled={isBusy} onClick={() => void move()}>
        {m.forkWhereItEnded}
      </button>
    </p>
  )
}

type Value = { readonly value?: unknown; readonly error?: string }

/** What is there at the moment; `undefined` while it is being read. */
function useValueOf(sessionId: string, moment: Moment, target: Target): Value | undefined {
  const [read, setRead] = useState<Value>()
  const { session } = moment
  const nodeId = target.kind === 'output' ? target.nodeId : undefined
  useEffect(() => {
    if (nodeId === undefined) return
    const controller = new AbortController()
    outputAt(sessionId, nodeId, session.revision, controller.signal).then(
      (value) => !controller.signal.aborted && setRead({ value }),
      (cause: unknown) => !controller.signal.aborted && setRead({ error: reasonOf(cause) }),
    )
    return () => controller.abort()
  }, [sessionId, nodeId, session.revision])
  const held = useMemo((): Value | undefined => {
    if (target.kind === 'proposal') return { value: moment.proposal ?? undefined }
    return target.kind === 'context' ? { value: session.contextData?.[target.key] } : undefined
  }, [target, moment, session])
  return held ?? read
}
