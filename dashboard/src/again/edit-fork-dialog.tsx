import '../styles/edit-fork.css'

import type { WorkflowSession } from '@relive/types'
import { useEffect, useMemo, useRef, useState } from 'react'

import { useMay } from '../access/me'
import { request } from '../api/http'
import { noFilters, plainView } from '../app/address'
import { goTo } from '../app/place'
import { pathText } from '../context/json-path'
import { readable } from '../context/value-view'
import { readJsonText } from '../format/json-text'
import { diffOf } from '../format/value-diff'
import { useText } from '../i18n/text'
import { JsonEditor } from '../more/json-editor'
import { useMoreText } from '../more/text'
import { nodeName } from '../node/instances'
import { noteCreated } from '../session/created-here'
import { useSession } from '../session/session-context'
import { reasonOf } from '../session/steering'
import { Dialog } from '../ui/dialog'
import { showNotice } from '../ui/notices'
import { forkChanged, Unchanged } from './edit-fork'
import { commandsFor, type Edit, endedAfter, keyOf, nodesWithOutputs, type Target } from './edits'
import { type Moment, outputAt, readMoment, revisionOfEnd } from './moment'

interface EditForkDialogProps {
  sessionId: string
  revision: number
  /** What is to be changed first. */
  first?: Target | undefined
  onClose(): void
}

/** A change as it is being written. A text is written as it is, anything else as JSON. */
interface Draft {
  readonly target: Target
  readonly before: unknown
  readonly text: string
  readonly isText: boolean
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
          <Targets moment={moment} target={target} onChoose={setTarget} />
          {target !== undefined && (
            <Editing
              key={`${keyOf(target)} ${moment.session.revision}`}
              sessionId={sessionId}
              moment={moment}
              target={target}
              draft={drafts.get(keyOf(target))}
              onChange={(draft) => setDrafts(new Map(drafts).set(keyOf(target), draft))}
              onMove={setAsked}
            />
          )}
          <Changes drafts={drafts} onDiscard={(key) => setDrafts(new Map([...drafts].filter(([id]) => id !== key)))} />
        </>
      )}
      <Actions sessionId={sessionId} moment={moment} drafts={drafts} half={half} onHalf={setHalf} onClose={onClose} />
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

const newKey = 'context '

interface TargetsProps {
  moment: Moment
  target: Target | undefined
  onChoose(target: Target | undefined): void
}

function Targets({ moment: { session }, target, onChoose }: TargetsProps) {
  const t = useText()
  const m = useMoreText()
  const graph = useSession((state) => state.graph)
  const [name, setName] = useState<string>()
  const targets = useMemo(() => {
    const context = Object.keys(session.contextData ?? {}).map((key): Target => ({ kind: 'context', key }))
    const outputs = nodesWithOutputs(session, graph).map((nodeId): Target => ({ kind: 'output', nodeId }))
    return { context, outputs }
  }, [session, graph])
  const all: readonly Target[] = [{ kind: 'proposal' }, ...targets.context, ...targets.outputs]
  const chosen = name !== undefined ? newKey : target === undefined ? '' : keyOf(target)
  const choose = (key: string) => {
    if (key === newKey) {
      setName('')
      return onChoose(undefined)
    }
    setName(undefined)
    onChoose(all.find((each) => keyOf(each) === key))
  }
  const isNew = target?.kind === 'context' && !all.some((each) => keyOf(each) === keyOf(target))
  return (
    <div className="edit-targets start-form">
      <label>
        {m.whatToEdit}
        <select value={isNew ? newKey : chosen} onChange={(event) => choose(event.target.value)}>
          <option value="" />
          <option value="proposal">{t.proposal}</option>
          <optgroup label={t.context}>
            {targets.context.map((each) => (
              <option key={keyOf(each)} value={keyOf(each)}>
                {each.kind === 'context' && each.key}
              </option>
            ))}
            <option value={newKey}>{m.newContextValue}</option>
          </optgroup>
          {targets.outputs.length > 0 && (
            <optgroup label={t.output}>
              {targets.outputs.map((each) => (
                <option key={keyOf(each)} value={keyOf(each)}>
                  {each.kind === 'output' && outputLabel(each.nodeId, session, graph, t.status)}
                </option>
              ))}
            </optgroup>
          )}
        </select>
      </label>
      {name !== undefined && (
        <label>
          {m.contextKey}
          <input
            className="mono"
            maxLength={200}
            spellCheck={false}
            value={name}
            onChange={(event) => {
              setName(event.target.value)
              const key = event.target.value.trim()
              onChoose(key === '' ? undefined : { kind: 'context', key })
            }}
          />
        </label>
      )}
    </div>
  )
}

function outputLabel(
  nodeId: string,
  session: WorkflowSession,
  graph: Parameters<typeof nodeName>[2],
  words: Readonly<Record<string, string>>,
): string {
  const status = session.nodes[nodeId]?.status ?? 'pending'
  const name = nodeName(nodeId, session, graph)
  return status === 'completed' ? name : `${name} (${words[status]})`
}

interface EditingProps {
  sessionId: string
  moment: Moment
  target: Target
  draft: Draft | undefined
  onChange(draft: Draft): void
  onMove(revision: number): void
}

/** The value of what was chosen, for changing it. */
function Editing({ sessionId, moment, target, draft, onChange, onMove }: EditingProps) {
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
}: Pick<EditingProps, 'sessionId' | 'onMove'> & { nodeId: string; session: WorkflowSession }) {
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

function textOf(value: unknown): string {
  if (value === undefined) return ''
  return typeof value === 'string' ? value : JSON.stringify(value, undefined, 2)
}

function isSame(a: unknown, b: unknown): boolean {
  return JSON.stringify(a) === JSON.stringify(b)
}

function otherForm(draft: Draft): Draft {
  if (draft.isText) return { ...draft, isText: false, text: JSON.stringify(draft.text) }
  const { value } = readJsonText(draft.text)
  return { ...draft, isText: true, text: typeof value === 'string' ? value : draft.text }
}

function marksOf({ text }: Draft, invalid: (line: number | undefined) => string, repeated: (name: string) => string) {
  // Nothing written is nothing changed.
  if (text.trim() === '') return []
  const read = readJsonText(text)
  if (read.problem !== undefined) return [{ line: read.problem.line, text: invalid(read.problem.line) }]
  return read.repeated.map(({ name, line }) => ({ line, text: repeated(name), isHint: true }))
}

/** The changes that are written, and those of which the text is no JSON. */
function editsOf(drafts: ReadonlyMap<string, Draft>): { edits: readonly Edit[]; isFine: boolean } {
  const edits: Edit[] = []
  let isFine = true
  for (const { target, before, text, isText } of drafts.values()) {
    if (!isText && text.trim() === '') continue
    const read = isText ? { value: text, problem: undefined } : readJsonText(text)
    if (read.problem !== undefined) isFine = false
    else if (!isSame(before, read.value) && !(before === undefined && read.value === ''))
      edits.push({ target, before, after: read.value })
  }
  return { edits, isFine }
}

/** What the fork will have instead of what the run had. */
function Changes({ drafts, onDiscard }: { drafts: ReadonlyMap<string, Draft>; onDiscard: (key: string) => void }) {
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

interface ActionsProps {
  sessionId: string
  moment: Moment | null | undefined
  drafts: ReadonlyMap<string, Draft>
  /** The fork of an attempt whose changes were refused. */
  half: WorkflowSession | undefined
  onHalf(fork: WorkflowSession | undefined): void
  onClose(): void
}

function Actions({ sessionId, moment, drafts, half, onHalf, onClose }: ActionsProps) {
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
