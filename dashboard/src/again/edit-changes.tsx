import { useMemo } from 'react'

import { pathText } from '../context/json-path'
import { readable } from '../context/value-view'
import { diffOf } from '../format/value-diff'
import { useText } from '../i18n/text'
import { useMoreText } from '../more/text'
import { nodeName } from '../node/instances'
import { useSession } from '../session/session-context'
import { type Draft, editsOf } from './edit-drafts'
import { type Edit, keyOf, type Target } from './edits'

/** What the fork will have instead of what the run had. */
export function EditChanges({
  drafts,
  onDiscard,
}: {
  drafts: ReadonlyMap<string, Draft>
  onDiscard: (key: string) => void
}) {
  const t = useText()
  const m = useMoreText()
  const { edits } = useMemo(() => editsOf(drafts), [drafts])
  const graph = useSession((state) => state.graph)
  const session = useSession((state) => state.live)
  const nameOf = (target: Target) => {
    if (target.kind === 'proposal') return t.proposal
    if (target.kind === 'context') return `${t.context}: ${target.key}`
    return `${t.output}: ${nodeName(target.nodeId, session, graph)}`
  }
  if (edits.length === 0) return <p className="faint">{m.noChanges}</p>
  return (
    <section className="edit-changes" aria-label={m.changes}>
      <h3>
        {m.changes} <span className="faint num">{edits.length}</span>
      </h3>
      {edits.map((edit) => (
        <div key={keyOf(edit.target)} className="edit-change">
          <p className="edit-name">
            <b>{nameOf(edit.target)}</b>
            <button
              type="button"
              className="quiet"
              aria-label={m.ofThing(m.discardChange, nameOf(edit.target))}
              onClick={() => onDiscard(keyOf(edit.target))}
            >
              {m.discardChange}
            </button>
          </p>
          <DiffList edit={edit} />
        </div>
      ))}
    </section>
  )
}

const charactersAtMost = 600

function DiffList({ edit: { before, after } }: { edit: Edit }) {
  const t = useText()
  const m = useMoreText()
  const { differences, isCut } = useMemo(() => diffOf(before, after), [before, after])
  const shown = (value: unknown) =>
    value === undefined ? t.absent : readable(value).slice(0, charactersAtMost) || '""'
  return (
    <>
      <dl className="context-changes">
        {differences.map((difference) => (
          <div key={pathText(difference.path)}>
            <dt className={difference.path.length > 0 ? 'mono' : 'visually-hidden'}>
              {pathText(difference.path) || m.newValue}
            </dt>
            <dd className="was">{shown(difference.before)}</dd>
            <dd className="is">{shown(difference.after)}</dd>
          </div>
        ))}
      </dl>
      {isCut && <p className="faint">{m.moreDifferences}</p>}
    </>
  )
}
