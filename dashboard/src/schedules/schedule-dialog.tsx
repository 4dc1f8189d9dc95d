import type { Overlap, Schedule, ScheduleFields } from '@relive/types'
import { useId, useMemo, useState } from 'react'

import { request } from '../api/http'
import { readJson } from '../format/json'
import { useText } from '../i18n/text'
import { Choice, FormDialog } from '../more/form'
import { useMoreText } from '../more/text'
import { catalog } from '../sessions/catalog'
import { useStore } from '../store/use-store'
import { explainCron, isTimezone, timezones } from './cron'

const overlaps: readonly Overlap[] = ['skip', 'allow', 'cancelRunning']
/** As at the server. */
const catchUpByDefault = 3600
const catchUpAtMost = 604_800

interface ScheduleDialogProps {
  /** The one to change; `undefined`: a new one. */
  schedule: Schedule | undefined
  onSaved(): void
  onClose(): void
}

export function ScheduleDialog({ schedule, onSaved, onClose }: ScheduleDialogProps) {
  const t = useText()
  const m = useMoreText()
  const zones = useId()
  const workflows = useStore(catalog, (state) => state.workflows)
  const [workflowId, setWorkflowId] = useState(schedule?.workflowId ?? '')
  const [name, setName] = useState(schedule?.name ?? '')
  const [cron, setCron] = useState(schedule?.cron ?? '0 9 * * MON-FRI')
  const [timezone, setTimezone] = useState(schedule?.timezone ?? Intl.DateTimeFormat().resolvedOptions().timeZone)
  const [inputs, setInputs] = useState(
    schedule?.inputs === undefined ? '' : JSON.stringify(schedule.inputs, undefined, 2),
  )
  const [overlap, setOverlap] = useState<Overlap>(schedule?.overlap ?? 'skip')
  const [catchUp, setCatchUp] = useState(String(schedule?.catchUpSeconds ?? catchUpByDefault))
  const [key] = useState(() => `schedule-${Date.now()}-${Math.random()}`)
  const chosen = workflowId || (workflows[0]?.id ?? '')
  const areInputsFine = inputs.trim() === '' || readJson(inputs) !== undefined
  const submit = async () => {
    const body: ScheduleFields = {
      workflowId: chosen,
      cron: cron.trim(),
      timezone: timezone.trim(),
      overlap,
      enabled: schedule?.enabled ?? true,
      catchUpSeconds: Number(catchUp),
      ...(name.trim() !== '' && { name: name.trim() }),
      ...(inputs.trim() !== '' && { inputs: readJson(inputs) }),
    }
    if (schedule === undefined) await request('POST', '/schedules', { body, headers: { 'idempotency-key': key } })
    else await request('PUT', `/schedules/${schedule.id}`, { body })
    onSaved()
    onClose()
  }
  return (
    <FormDialog
      title={schedule === undefined ? m.newSchedule : m.editOf(schedule.name ?? m.schedules)}
      action={schedule === undefined ? m.create : m.save}
      isReady={chosen !== '' && cron.trim() !== '' && isTimezone(timezone.trim()) && areInputsFine}
      onSubmit={submit}
      onClose={onClose}
    >
      {workflows.length === 0 && <p>{m.noWorkflows}</p>}
      <Choice label={t.workflow} value={chosen} entries={workflows} onChange={setWorkflowId} />
      <label>
        {m.nameOptional}
        <input maxLength={200} value={name} onChange={(event) => setName(event.target.value)} />
        <span className="faint hint">{m.scheduleNameHint}</span>
      </label>
      <label>
        {m.cron}
        <input
          className="mono"
          required
          maxLength={256}
          spellCheck={false}
          value={cron}
          onChange={(event) => setCron(event.target.value)}
        />
        <span className="faint hint">{m.cronHint}</span>
      </label>
      <label>
        {m.timezone}
        <input
          list={zones}
          value={timezone}
          aria-invalid={!isTimezone(timezone.trim())}
          spellCheck={false}
          onChange={(event) => setTimezone(event.target.value)}
        />
        <datalist id={zones}>
          {timezones().map((zone) => (
            <option key={zone} value={zone} />
          ))}
        </datalist>
      </label>
      <Firings cron={cron} timezone={timezone.trim()} />
      <label>
        {t.inputs}
        <textarea
          rows={3}
          className="mono"
          placeholder={t.inputsHint}
          value={inputs}
          aria-invalid={!areInputsFine}
          onChange={(event) => setInputs(event.target.value)}
        />
        {!areInputsFine && <span className="error-line">{t.invalidJson}</span>}
      </label>
      <label>
        {m.overlap}
        <select value={overlap} onChange={(event) => setOverlap(event.target.value as Overlap)}>
          {overlaps.map((known) => (
            <option key={known} value={known}>
              {m.overlaps[known]}
            </option>
          ))}
        </select>
      </label>
      <label>
        {m.catchUp}
        <input
          type="number"
          required
          min={0}
          max={catchUpAtMost}
          value={catchUp}
          onChange={(event) => setCatchUp(event.target.value)}
        />
        <span className="faint hint">{m.catchUpHint}</span>
      </label>
    </FormDialog>
  )
}

/** What was entered means, and when it would be due: in the time zone of the schedule. */
function Firings({ cron, timezone }: { cron: string; timezone: string }) {
  const t = useText()
  const m = useMoreText()
  const explained = useMemo(() => explainCron(cron, timezone, t.locale, new Date()), [cron, timezone, t.locale])
  const format = useMemo(() => {
    const options = { weekday: 'short', month: 'short', day: 'numeric', hour: '2-digit', minute: '2-digit' } as const
    const zone = isTimezone(timezone) ? timezone : 'UTC'
    return new Intl.DateTimeFormat(t.locale, { ...options, second: '2-digit', hourCycle: 'h23', timeZone: zone })
  }, [t.locale, timezone])
  return (
    <div className="firings num" role="status">
      {explained === undefined ? (
        <p className="error-line">{m.noCron}</p>
      ) : (
        <>
          {explained.words !== undefined && <p>{explained.words}</p>}
          <ol className="dim" aria-label={m.nextRuns}>
            {explained.next.map((time) => (
              <li key={time}>{format.format(time)}</li>
            ))}
          </ol>
          {explained.next.length === 0 && <p className="error-line">{m.neverDue}</p>}
        </>
      )}
    </div>
  )
}
