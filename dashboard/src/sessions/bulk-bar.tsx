import type { SessionSummary } from '@relive/types'
import { useRef, useState } from 'react'

import { useMay } from '../access/me'
import { useText } from '../i18n/text'
import { hasEnded } from '../status/status'
import { ConfirmDialog } from '../ui/confirm-dialog'
import { Icon } from '../ui/icon'
import { forEach, type Outcome } from './bulk'
import { cancelled, deleted, exported, type Item, labelled, ranAgain } from './bulk-actions'
import { FailuresDialog } from './failures-dialog'
import { sessionName } from './session-name'
import { type LabelChange, TagDialog } from './tag-dialog'

export type BulkAction = 'cancel' | 'again' | 'tag' | 'export' | 'delete'

interface Running {
  readonly action: BulkAction
  readonly all: number
  readonly finished: number
  readonly stop: AbortController
}

interface Result {
  readonly action: BulkAction
  readonly outcome: Outcome<Item>
}

/** What can be done with the selected sessions. It stays in the page while something is being done to them. */
export function BulkBar({ sessions, onClear }: { sessions: readonly SessionSummary[]; onClear: () => void }) {
  const t = useText()
  const may = {
    cancel: useMay('control'),
    again: useMay('create'),
    tag: useMay('edit'),
    export: true,
    delete: useMay('administer'),
  }
  const [asked, setAsked] = useState<'cancel' | 'delete' | 'tag'>()
  const [running, setRunning] = useState<Running>()
  const [result, setResult] = useState<Result>()
  // What was asked about is what is acted on, whatever changes in the list meanwhile.
  const items = useRef<readonly Item[]>([])
  const live = sessions.filter(({ status }) => !hasEnded(status))

  const ask = (what: 'cancel' | 'delete' | 'tag') => {
    items.current = named(what === 'cancel' ? live : sessions)
    setAsked(what)
  }
  const named = (chosen: readonly SessionSummary[]) =>
    chosen.map((session) => ({ session, name: sessionName(session) ?? t.unnamed(session.id) }))
  const run = async (
    action: BulkAction,
    all: readonly Item[],
    act: (item: Item, signal: AbortSignal) => Promise<unknown>,
  ) => {
    const stop = new AbortController()
    setResult(undefined)
    setRunning({ action, all: all.length, finished: 0, stop })
    const onProgress = (finished: number) => setRunning({ action, all: all.length, finished, stop })
    const outcome = await forEach(all, act, { signal: stop.signal, onProgress })
    setRunning(undefined)
    setResult({ action, outcome })
    return outcome
  }
  const exportAll = async () => {
    const all = named(sessions)
    const file = await exported(all.length)
    const { done } = await run('export', all, file.add)
    if (done > 0) file.save()
  }
  const tagAll = (change: LabelChange) => void run('tag', items.current, (item) => labelled(item, change))
  const isBusy = running !== undefined
  if (sessions.length === 0 && running === undefined && result === undefined && asked === undefined) return null
  return (
    <section className="bulk-bar" aria-label={t.selectedRuns}>
      {running !== undefined ? (
        <>
          <span className="num" role="status">
            {t.bulkRunning[running.action](running.finished, running.all)}
          </span>
          <button type="button" onClick={() => running.stop.abort()}>
            {t.stop}
          </button>
        </>
      ) : (
        <span className="num" role="status">
          {result !== undefined && t.bulkDone[result.action](result.outcome.done)}
          {result !== undefined && result.outcome.left > 0 && `, ${t.bulkLeft(result.outcome.left)}`}
          {result !== undefined && sessions.length > 0 && ' · '}
          {sessions.length > 0 && t.selectedCount(sessions.length)}
        </span>
      )}
      {sessions.length > 0 && (
        <span className="buttons" role="toolbar" aria-label={t.selectedRuns}>
          {may.cancel && (
            <button type="button" disabled={isBusy || live.length === 0} onClick={() => ask('cancel')}>
              {t.cancelSelected}
            </button>
          )}
          {may.again && (
            <button
              type="button"
              disabled={isBusy}
              onClick={() => void run('again', named(sessions), ranAgain(t.onlyItsEngine))}
            >
              {t.runAgain}
            </button>
          )}
          {may.tag && (
            <button type="button" disabled={isBusy} onClick={() => ask('tag')}>
              {t.tagSelected}
            </button>
          )}
          <button type="button" disabled={isBusy} onClick={() => void exportAll()}>
            {t.exportSelected}
          </button>
          {may.delete && (
            <button type="button" className="danger" disabled={isBusy} onClick={() => ask('delete')}>
              {t.deleteSelected}
            </button>
          )}
        </span>
      )}
      <span className="grow" />
      {!isBusy && (
        <button
          type="button"
          className="quiet"
          aria-label={t.clearSelection}
          title={t.clearSelection}
          onClick={() => {
            setResult(undefined)
            onClear()
          }}
        >
          <Icon name="close" />
        </button>
      )}
      {asked === 'cancel' && (
        <ConfirmDialog
          title={t.cancelSelectedTitle(items.current.length)}
          consequence={t.cancelSelectedConsequence}
          action={t.cancelSelected}
          onConfirm={() => void run('cancel', items.current, cancelled)}
          onClose={() => setAsked(undefined)}
        />
      )}
      {asked === 'delete' && (
        <ConfirmDialog
          title={t.deleteSelectedTitle(items.current.length)}
          consequence={`${t.deleteForGood} ${t.stillGoingOn(items.current.filter(({ session }) => !hasEnded(session.status)).length)}`}
          action={t.deleteCount(items.current.length, false)}
          onConfirm={() => void run('delete', items.current, deleted)}
          onClose={() => setAsked(undefined)}
        />
      )}
      {asked === 'tag' && (
        <TagDialog
          tags={[...new Set(items.current.flatMap(({ session }) => session.tags ?? []))].sort()}
          count={items.current.length}
          onChange={tagAll}
          onClose={() => setAsked(undefined)}
        />
      )}
      {result !== undefined && result.outcome.failures.length > 0 && (
        <FailuresDialog
          title={t.bulkFailed[result.action](result.outcome.failures.length)}
          done={t.bulkDone[result.action](result.outcome.done)}
          failures={result.outcome.failures}
          onClose={() => setResult({ ...result, outcome: { ...result.outcome, failures: [] } })}
        />
      )}
    </section>
  )
}
