import type { Alert, AlertFields, Webhook, WebhookPage } from '@relive/types'
import { useState } from 'react'

import { useText } from '../i18n/text'
import { EntityDialog } from '../more/entity-dialog'
import { Choice } from '../more/form'
import { useMoreText } from '../more/text'
import { usePaged } from '../more/use-read'
import { catalog } from '../sessions/catalog'
import { useStore } from '../store/use-store'
import { Checks, TextField, textMember } from '../ui/fields'
import { addressesIn, type ConditionFields, conditionOf, fieldsOf } from './condition'

const types = ['failures', 'slowRun', 'budget'] as const

interface AlertDialogProps {
  /** The one to change; `undefined`: a new one. */
  alert: Alert | undefined
  onSaved(id: string): void
  onClose(): void
}

/** Makes an alert, or changes one. */
export function AlertDialog({ alert, onSaved, onClose }: AlertDialogProps) {
  const t = useText()
  const m = useMoreText()
  const { workflows, groups } = useStore(catalog, (state) => state)
  const webhooks = usePaged<WebhookPage, Webhook>('/webhooks', (page) => page.webhooks).entries ?? []
  const [name, setName] = useState(alert?.name ?? '')
  const [fields, setFields] = useState(() => fieldsOf(alert?.condition))
  const [workflowId, setWorkflowId] = useState(alert?.filter?.workflowId ?? '')
  const [groupId, setGroupId] = useState(alert?.filter?.groupId ?? '')
  const [tag, setTag] = useState(alert?.filter?.tag ?? '')
  const [told, setTold] = useState<readonly string[]>(alert?.notify?.webhookIds ?? [])
  const [emails, setEmails] = useState(alert?.notify?.emails?.join(', ') ?? '')
  const condition = conditionOf(fields)
  const body = (): Partial<AlertFields> => ({
    name: name.trim(),
    ...(condition !== undefined && { condition }),
    filter: { ...(workflowId !== '' && { workflowId }), ...(groupId !== '' && { groupId }), ...textMember('tag', tag) },
    notify: { webhookIds: [...told], emails: addressesIn(emails) },
  })
  return (
    <EntityDialog<Alert>
      path="/alerts"
      entity={alert}
      newTitle={m.newAlert}
      changedBy="PATCH"
      isReady={name.trim() !== '' && condition !== undefined}
      body={body}
      onSaved={({ id }) => onSaved(id)}
      onClose={onClose}
    >
      <TextField label={m.name} required maxLength={200} value={name} onChange={setName} />
      <label>
        {m.condition}
        <select
          value={fields.type}
          onChange={(event) => setFields({ ...fields, type: event.target.value as ConditionFields['type'] })}
        >
          {types.map((type) => (
            <option key={type} value={type}>
              {m.conditions[type]}
            </option>
          ))}
        </select>
      </label>
      <ConditionInputs fields={fields} onChange={setFields} />
      <Choice label={t.workflow} none={m.any} value={workflowId} entries={workflows} onChange={setWorkflowId} />
      <Choice label={t.group} none={m.any} value={groupId} entries={groups} onChange={setGroupId} />
      <TextField label={m.tag} maxLength={64} placeholder={m.any} value={tag} onChange={setTag} />
      {webhooks.length > 0 && (
        <Checks
          label={m.webhooks}
          entries={webhooks.map(({ id, url }) => ({ id, name: url }))}
          chosen={told}
          onChange={setTold}
        />
      )}
      <TextField label={m.emails} hint={m.emailsHint} spellCheck={false} value={emails} onChange={setEmails} />
    </EntityDialog>
  )
}

interface ConditionInputsProps {
  fields: ConditionFields
  onChange(fields: ConditionFields): void
}

/** The numbers of the chosen condition; those of the others are kept meanwhile. */
function ConditionInputs({ fields, onChange }: ConditionInputsProps) {
  const m = useMoreText()
  const input = (name: keyof ConditionFields, label: string, step: number | 'any', hint?: string) => (
    <TextField
      key={name}
      label={label}
      {...(hint !== undefined && { hint })}
      type="number"
      required
      min={step === 'any' ? 0 : step}
      step={step}
      value={fields[name]}
      onChange={(value) => onChange({ ...fields, [name]: value })}
    />
  )
  switch (fields.type) {
    case 'failures':
      return [input('count', m.failedRuns, 1), input('withinMinutes', m.withinMinutes, 1)]
    case 'slowRun':
      return [input('factor', m.slowFactor, 'any', m.slowFactorHint), input('minimumRuns', m.minimumRuns, 1)]
    case 'budget':
      return input('usdPerDay', m.usdPerDay, 'any', m.usdPerDayHint)
  }
}
