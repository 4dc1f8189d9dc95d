import type { Overlap, Schedule, ScheduleFields } from '@relive/types'
import { useId, useMemo, useState } from 'react'

import { useText } from '../i18n/text'
import { EntityDialog } from '../more/entity-dialog'
import { Choice } from '../more/form'
import { useMoreText } from '../more/text'
import { catalog } from '../sessions/catalog'
import { useStore } from '../store/use-store'
import { isJsonOrEmpty, JsonField, jsonMember, jsonText, TextField, textMember } from '../ui/fields'
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
  const [inputs, setInputs] = useState(jsonText(schedule?.inputs))
  const [overlap, setOverlap] = useState<Overlap>(schedule?.overlap ?? 'skip')
  const [catchUp, setCatchUp] = useState(String(schedule?.catchUpSeconds ?? catchUpByDefault))
  const chosen = workflowId || (workflows[0]?.id ?? '')
  const body = (): ScheduleFields => ({
    workflowId: chosen,
    cron: cron.trim(),
    timezone: timezone.trim(),
    overlap,
    enabled: schedule?.enabled ?? true,
    catchUpSeconds: Number(catchUp),
    ...textMember('name', name),
    ...jsonMember('inputs', inputs),
  })
  return (
    <EntityDialog
      path="/schedules"
      entity={schedule && { id: schedule.id, name: schedule.name ?? m.schedules }}
      newTitle={m.newSchedule}
      isReady={chosen !== '' && cron.trim() !== '' && isTimezone(timezone.trim()) && isJsonOrEmpty(inputs)}
      body={body}
      onSaved={onSaved}
      onClose={onClose}
    >
      {workflows.length === 0 && <p>{m.noWorkflows}</p>}
      <Choice label={t.workflow} value={chosen} entries={workflows} onChange={setWorkflowId} />
      <TextField label={m.nameOptional} hint={m.scheduleNameHint} maxLength={200} value={name} onChange={setName} />
      <TextField
        label={m.cron}
        hint={m.cronHint}
        className="mono"
        required
        maxLength={256}
        spellCheck={false}
        value={cron}
        onChange={setCron}
      />
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
      <JsonField label={t.inputs} rows={3} placeholder={t.inputsHint} value={inputs} onChange={setInputs} />
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
      <TextField
        label={m.catchUp}
        hint={m.catchUpHint}
        type="number"
        required
        min={0}
        max={catchUpAtMost}
        value={catchUp}
        onChange={setCatchUp}
      />
    </EntityDialog>
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
