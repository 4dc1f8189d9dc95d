import type { LastRun, Schedule, ScheduleFields, SchedulePage } from '@relive/types'
import { useEffect, useState } from 'react'

import { RunDialog } from '../again/run-dialog'
import { request } from '../api/http'
import { noFilters, plainView } from '../app/address'
import { linkTo } from '../app/place'
import { sessionCode } from '../app/session-code'
import { ahead, millis, moment } from '../format/time'
import { useText } from '../i18n/text'
import { ListPage, ListTable, RowActions } from '../more/list-page'
import { useMoreText } from '../more/text'
import { usePaged } from '../more/use-read'
import { reasonOf } from '../session/steering'
import { catalog, loadCatalog } from '../sessions/catalog'
import { useStore } from '../store/use-store'
import { showNotice } from '../ui/notices'
import { explainCron } from './cron'
import { ScheduleDialog } from './schedule-dialog'

const refreshMs = 10_000

/** The schedules of the project: when they are due next, and what came of the last time. */
export function SchedulesPage() {
  const m = useMoreText()
  const list = usePaged<SchedulePage, Schedule>('/schedules', (page) => page.schedules)
  const { entries, reload } = list
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
    <ListPage<Schedule>
      title={m.schedules}
      error={list.error}
      makes={m.newSchedule}
      form={(schedule, close) => <ScheduleDialog schedule={schedule} onSaved={reload} onClose={close} />}
    >
      {(edit) => (
        <div className="card">
          <ListTable
            name={m.schedules}
            columns={[m.name, m.when, m.nextRun, m.lastRun]}
            list={list}
            empty={m.noSchedules}
            isNumeric
          >
            {entries?.map((schedule) => (
              <Row
                key={schedule.id}
                schedule={schedule}
                workflow={workflows.find(({ id }) => id === schedule.workflowId)?.name}
                onEdit={() => edit(schedule)}
                onRun={() => setRun(schedule)}
                onChange={reload}
              />
            ))}
          </ListTable>
          {run !== undefined && workflow !== undefined && (
            <RunDialog
              title={m.runOf(run.name ?? workflow.name)}
              source={{ workflow, name: run.name, inputs: run.inputs }}
              prepare={sessionCode.load}
              onClose={() => setRun(undefined)}
            />
          )}
        </div>
      )}
    </ListPage>
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
      <td className="wide">
        {words ?? <code className="mono">{cron}</code>}
        <p className="dim small">
          {words !== undefined && <code className="mono">{cron}</code>} {timezone}
        </p>
      </td>
      <td className="short">
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
          <RowActions
            name={name}
            path={`/schedules/${id}`}
            consequence={m.deleteSchedule}
            onEdit={onEdit}
            onDeleted={onChange}
          />
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
