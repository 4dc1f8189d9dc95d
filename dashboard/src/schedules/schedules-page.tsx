import type { LastRun, Schedule, ScheduleFields, SchedulePage } from '@relive/types'
import { useEffect, useState } from 'react'

import { RunDialog } from '../again/run-dialog'
import { request } from '../api/http'
import { noFilters, plainView } from '../app/address'
import { linkTo } from '../app/place'
import { sessionCode } from '../app/session-code'
import { ahead, millis, moment } from '../format/time'
import { useText } from '../i18n/text'
import { DeleteButton } from '../more/delete-button'
import { PageFrame } from '../more/page-frame'
import { useMoreText } from '../more/text'
import { usePaged } from '../more/use-read'
import { reasonOf } from '../session/steering'
import { catalog, loadCatalog } from '../sessions/catalog'
import { useStore } from '../store/use-store'
import { Icon } from '../ui/icon'
import { showNotice } from '../ui/notices'
import { explainCron } from './cron'
import { ScheduleDialog } from './schedule-dialog'

const refreshMs = 10_000

/** The schedules of the project: when they are due next, and what came of the last time. */
export function SchedulesPage() {
  const m = useMoreText()
  const { entries, error, hasMore, more, reload } = usePaged<SchedulePage, Schedule>(
    '/schedules',
    (page) => page.schedules,
  )
  const [edited, setEdited] = useState<Schedule | 'new'>()
  const [run, setRun] = useState<Schedule>()
  const workflows = useStore(catalog, (state) => state.workflows)
  useEffect(() => void loadCatalog(), [])
  // biome-ignore lint/correctness/useExhaustiveDependencies: the newest of it is used each time it is set up.
  useEffect(() => {
    const timer = setInterval(() => !document.hidden && reload(), refreshMs)
    return () => clearInterval(timer)
  }, [entries])
  const workflow = workflows.find(({ id }) => id === run?.workflowId)
  return (
    <PageFrame
      title={m.schedules}
      error={error}
      actions={
        <button type="button" className="primary" onClick={() => setEdited('new')}>
          <Icon name="plus" />
          {m.newSchedule}
        </button>
      }
    >
      <div className="more-body scroll" tabIndex={0} role="region" aria-label={m.schedules}>
        <div className="card scroll" tabIndex={0} role="region" aria-label={m.tableOf(m.schedules)}>
          <table className="plain num">
            <thead>
              <tr>
                <th scope="col">{m.name}</th>
                <th scope="col">{m.when}</th>
                <th scope="col">{m.nextRun}</th>
                <th scope="col">{m.lastRun}</th>
                <th scope="col">
                  <span className="visually-hidden">{m.actions}</span>
                </th>
              </tr>
            </thead>
            <tbody>
              {entries?.map((schedule) => (
                <Row
                  key={schedule.id}
                  schedule={schedule}
                  workflow={workflows.find(({ id }) => id === schedule.workflowId)?.name}
                  onEdit={() => setEdited(schedule)}
                  onRun={() => setRun(schedule)}
                  onChange={reload}
                />
              ))}
            </tbody>
          </table>
          {entries?.length === 0 && <p className="empty">{m.noSchedules}</p>}
          {entries === undefined && error === undefined && <p className="empty">{m.reading}</p>}
          {hasMore && (
            <button type="button" className="quiet" onClick={more}>
              {m.moreRows}
            </button>
          )}
        </div>
      </div>
      {edited !== undefined && (
        <ScheduleDialog
          schedule={edited === 'new' ? undefined : edited}
          onSaved={reload}
          onClose={() => setEdited(undefined)}
        />
      )}
      {run !== undefined && workflow !== undefined && (
        <RunDialog
          title={m.runOf(run.name ?? workflow.name)}
          source={{ workflow, name: run.name, inputs: run.inputs }}
          prepare={sessionCode.load}
          onClose={() => setRun(undefined)}
        />
      )}
    </PageFrame>
  )
}

interface RowProps {
  schedule: Schedule
  workflow: string | undefined
  onEdit(): void
  onRun(): void
  onChange(): void
}

/** What can be written of a schedule. */
function fieldsOf({
  workflowId,
  name,
  cron,
  timezone,
  inputs,
  overlap,
  enabled,
  catchUpSeconds,
}: Schedule): ScheduleFields {
  return {
    workflowId,
    cron,
    ...(name !== undefined && { name }),
    ...(timezone !== undefined && { timezone }),
    ...(inputs !== undefined && { inputs }),
    ...(overlap !== undefined && { overlap }),
    ...(enabled !== undefined && { enabled }),
    ...(catchUpSeconds !== undefined && { catchUpSeconds }),
  }
}

function Row({ schedule, workflow, onEdit, onRun, onChange }: RowProps) {
  const t = useText()
  const m = useMoreText()
  const [isBusy, setBusy] = useState(false)
  const { id, cron, timezone = 'UTC', nextRunAt, lastRun } = schedule
  const isEnabled = schedule.enabled !== false
  const name = schedule.name ?? workflow ?? `…${schedule.workflowId.slice(-8)}`
  const now = Date.now()
  const words = explainCron(cron, timezone, t.locale, new Date(now))?.words
  const enable = async () => {
    setBusy(true)
    try {
      await request('PUT', `/schedules/${id}`, { body: { ...fieldsOf(schedule), enabled: !isEnabled } })
      onChange()
    } catch (error) {
      showNotice(t.refused(isEnabled ? t.pause : t.resume), reasonOf(error))
    } finally {
      setBusy(false)
    }
  }
  return (
    <tr className={isEnabled ? undefined : 'over'}>
      <th scope="row">
        {/* Its runs have its name. */}
        {schedule.name === undefined ? (
          name
        ) : (
          <a className="figure-link" {...linkTo({ page: 'sessions', filters: { ...noFilters, text: schedule.name } })}>
            {name}
          </a>
        )}
        {schedule.name !== undefined && workflow !== undefined && <p className="dim small">{workflow}</p>}
      </th>
      <td>
        {words ?? <code className="mono">{cron}</code>}
        <p className="dim small">
          {words !== undefined && <code className="mono">{cron}</code>} {timezone}
        </p>
      </td>
      <td>
        {isEnabled && nextRunAt !== undefined ? (
          <>
            {moment(nextRunAt, now, t.locale)}
            <p className="dim small">{ahead(millis(nextRunAt) - now, t.locale)}</p>
          </>
        ) : (
          t.status.paused
        )}
      </td>
      <td>{lastRun === undefined ? m.never : <Last run={lastRun} />}</td>
      <td>
        <span className="cell-actions">
          {workflow !== undefined && (
            <button type="button" aria-label={m.ofThing(m.runNow, name)} onClick={onRun}>
              {m.runNow}
            </button>
          )}
          <button
            type="button"
            disabled={isBusy}
            aria-label={m.ofThing(isEnabled ? t.pause : t.resume, name)}
            onClick={() => void enable()}
          >
            {isEnabled ? t.pause : t.resume}
          </button>
          <button type="button" aria-label={m.editOf(name)} onClick={onEdit}>
            {m.edit}
          </button>
          <DeleteButton name={name} path={`/schedules/${id}`} consequence={m.deleteSchedule} onDeleted={onChange} />
        </span>
      </td>
    </tr>
  )
}

function Last({ run: { at, outcome, sessionId, error } }: { run: LastRun }) {
  const t = useText()
  const m = useMoreText()
  const when = moment(at, Date.now(), t.locale)
  return (
    <>
      {sessionId === undefined ? (
        when
      ) : (
        <a className="figure-link" {...linkTo({ page: 'session', sessionId, filters: noFilters, view: plainView })}>
          {when}
        </a>
      )}
      <p className={`small ${outcome === 'failed' ? 'bad' : 'dim'}`}>{error ?? m.scheduleOutcome[outcome]}</p>
    </>
  )
}
