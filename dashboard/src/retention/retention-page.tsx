import type { DeletedSessions, Retention, RetentionEffect, RetentionRule, SessionSelection } from '@relive/types'
import { useEffect, useState } from 'react'

import { request } from '../api/http'
import { count } from '../format/number'
import { moment } from '../format/time'
import type { MoreText } from '../i18n/more-en'
import { useText } from '../i18n/text'
import { Choice } from '../more/form'
import { PageFrame } from '../more/page-frame'
import { useMoreText } from '../more/text'
import { useAction } from '../more/use-action'
import { useRead } from '../more/use-read'
import { catalog, loadCatalog } from '../sessions/catalog'
import { useStore } from '../store/use-store'
import { ConfirmDialog } from '../ui/confirm-dialog'
import { Checks, TextField } from '../ui/fields'
import { Icon } from '../ui/icon'
import { type Draft, draftOf, ends, isValid, ruleOf, selectionOf } from './rules'

const rulesAtMost = 100
const effects: readonly RetentionEffect[] = ['delete', 'archive']

/** The rules by which old sessions are deleted or archived, what they have done, and what they would do. */
export function RetentionPage() {
  const m = useMoreText()
  const { value, error, reload } = useRead<Retention>('/retention')
  useEffect(() => void loadCatalog(), [])
  return (
    <PageFrame title={m.retention} error={error}>
      <div className="more-body scroll" tabIndex={0} role="region" aria-label={m.retention}>
        <p className="dim narrow-text">{m.retentionIntro}</p>
        {value === undefined && error === undefined && <p className="faint">{m.reading}</p>}
        {value !== undefined && <Rules key={value.updatedAt ?? ''} retention={value} onSaved={reload} />}
      </div>
    </PageFrame>
  )
}

function Rules({ retention, onSaved }: { retention: Retention; onSaved: () => void }) {
  const t = useText()
  const m = useMoreText()
  const [drafts, setDrafts] = useState<readonly Draft[]>(() => retention.rules.map(draftOf))
  const [isAsking, setAsking] = useState(false)
  const save = useAction()
  const isChanged = JSON.stringify(drafts.map(ruleOf)) !== JSON.stringify(retention.rules.map(draftOf).map(ruleOf))
  const change = (index: number, to: Draft | undefined) =>
    setDrafts(drafts.flatMap((draft, at) => (at !== index ? [draft] : to === undefined ? [] : [to])))
  const store = async () => {
    const rules = drafts.map(ruleOf)
    if (await save.run(() => request('PUT', '/retention', { body: { rules } }))) onSaved()
  }
  return (
    <>
      {drafts.length === 0 && <p className="card empty">{m.noRules}</p>}
      {drafts.map((draft, index) => (
        <Rule
          // biome-ignore lint/suspicious/noArrayIndexKey: rules have no identity of their own, and no state besides what is counted.
          key={index}
          number={index + 1}
          draft={draft}
          stored={retention.rules[index]}
          onChange={(to) => change(index, to)}
        />
      ))}
      {save.error !== undefined && (
        <p className="error-line" role="alert">
          {save.error}
        </p>
      )}
      <div className="buttons">
        <button
          type="button"
          disabled={drafts.length >= rulesAtMost}
          onClick={() => setDrafts([...drafts, draftOf({ olderThanDays: 30 })])}
        >
          <Icon name="plus" />
          {m.addRule}
        </button>
        <button
          type="button"
          className="primary"
          disabled={!isChanged || save.isBusy || !drafts.every(isValid)}
          onClick={() => setAsking(true)}
        >
          {m.save}
        </button>
        {isChanged && (
          <button type="button" onClick={() => setDrafts(retention.rules.map(draftOf))}>
            {m.discard}
          </button>
        )}
      </div>
      <p className="faint num">
        {m.removedInAll(count(retention.removed ?? 0))}
        {retention.appliedAt !== undefined && ` · ${m.lastApplied(moment(retention.appliedAt, Date.now(), t.locale))}`}
      </p>
      {isAsking && (
        <ConfirmDialog
          title={m.applyRules}
          consequence={consequenceOf(drafts, m)}
          action={m.save}
          onConfirm={() => void store()}
          onClose={() => setAsking(false)}
        />
      )}
    </>
  )
}

interface RuleProps {
  number: number
  draft: Draft
  stored: RetentionRule | undefined
  onChange(to: Draft | undefined): void
}

function Rule({ number, draft, stored, onChange }: RuleProps) {
  const t = useText()
  const m = useMoreText()
  const { workflows, groups } = useStore(catalog, (state) => state)
  const isStored = stored !== undefined && JSON.stringify(ruleOf(draftOf(stored))) === JSON.stringify(ruleOf(draft))
  return (
    <section className="card rule" aria-label={m.ruleNumber(number)}>
      <div className="rule-fields">
        <Choice
          label={m.effect}
          value={draft.action}
          entries={effects.map((id) => ({ id, name: m.effects[id] }))}
          onChange={(action) => onChange({ ...draft, action: action as RetentionEffect })}
        />
        <TextField
          label={m.olderThanDays}
          type="number"
          min={0}
          max={36_500}
          step="any"
          aria-invalid={!isValid({ ...draft, statuses: ends })}
          value={draft.days}
          onChange={(days) => onChange({ ...draft, days })}
        />
        <Checks
          label={t.statusFilter}
          entries={ends.map((id) => ({ id, name: t.status[id] }))}
          chosen={draft.statuses}
          onChange={(statuses) => onChange({ ...draft, statuses })}
        />
        <Choice
          label={t.workflow}
          none={m.any}
          value={draft.workflowId}
          entries={workflows}
          onChange={(workflowId) => onChange({ ...draft, workflowId })}
        />
        <Choice
          label={t.group}
          none={m.any}
          value={draft.groupId}
          entries={groups}
          onChange={(groupId) => onChange({ ...draft, groupId })}
        />
        <TextField
          label={m.tag}
          maxLength={64}
          placeholder={m.any}
          value={draft.tag}
          onChange={(tag) => onChange({ ...draft, tag })}
        />
      </div>
      <div className="rule-foot num">
        <Matching
          selection={isValid(draft) ? selectionOf(ruleOf(draft), Date.now()) : undefined}
          rule={JSON.stringify(ruleOf(draft))}
        />
        {isStored && (
          <span className="faint">
            {m.removedBy[stored.action ?? 'delete'](count(stored.removed ?? 0))}
            {stored.lastRemovedAt !== undefined &&
              ` · ${m.lastRemoved(moment(stored.lastRemovedAt, Date.now(), t.locale))}`}
          </span>
        )}
        {!isStored && <span className="dim">{m.notSaved}</span>}
        <span className="grow" />
        <button
          type="button"
          className="danger"
          aria-label={m.deleteOf(m.ruleNumber(number))}
          onClick={() => onChange(undefined)}
        >
          {m.delete}
        </button>
      </div>
    </section>
  )
}

/** What it means to save these rules. */
function consequenceOf(drafts: readonly Draft[], m: MoreText): string {
  const archives = drafts.some(({ action }) => action === 'archive')
  if (!drafts.some(({ action }) => action === 'delete')) return archives ? m.applyArchive : m.applyNothing
  return archives ? m.applyBoth : m.applyDelete
}

/** How many sessions a rule applies to now: counted by the server, by a deletion that deletes none. */
function Matching({ selection, rule }: { selection: SessionSelection | undefined; rule: string }) {
  const m = useMoreText()
  const [found, setFound] = useState<{ rule: string; counted: DeletedSessions }>()
  const { isBusy, error, run } = useAction()
  const ask = () =>
    run(async () => {
      const body = { filter: selection, dryRun: true }
      const counted = await request<DeletedSessions>('POST', '/sessions/delete', { body })
      setFound({ rule, counted })
    })
  const isOfRule = found?.rule === rule
  return (
    <>
      <button type="button" disabled={isBusy || selection === undefined} onClick={() => void ask()}>
        {m.countNow}
      </button>
      <span role="status">
        {isOfRule && m.wouldDelete(count(found.counted.matched) + (found.counted.hasMore ? '+' : ''))}
      </span>
      {error !== undefined && <span className="bad">{error}</span>}
    </>
  )
}
