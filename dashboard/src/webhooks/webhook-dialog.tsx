import type { CreatedWebhook, Webhook, WebhookType, WriteWebhook } from '@relive/types'
import { useState } from 'react'

import { request } from '../api/http'
import { useText } from '../i18n/text'
import { Choice, FormDialog } from '../more/form'
import { useMoreText } from '../more/text'
import { catalog } from '../sessions/catalog'
import { useStore } from '../store/use-store'
import { Dialog } from '../ui/dialog'
import { SecretField } from '../ui/secret-field'

/** As in docs/webhooks.md. */
const types: readonly WebhookType[] = [
  'session.created',
  'session.started',
  'session.paused',
  'session.completed',
  'session.failed',
  'session.cancelled',
  'node.failed',
  'review.requested',
  'review.answered',
]
const usual: readonly WebhookType[] = ['session.completed', 'session.failed', 'review.requested']

interface WebhookDialogProps {
  /** The one to change; `undefined`: a new one. */
  webhook: Webhook | undefined
  onSaved(id: string): void
  onClose(): void
}

/** Creates a webhook, and shows its secret: the only time that it can be seen. Or changes one, which keeps its secret. */
export function WebhookDialog({ webhook, onSaved, onClose }: WebhookDialogProps) {
  const t = useText()
  const m = useMoreText()
  const { workflows, groups } = useStore(catalog, (state) => state)
  const [url, setUrl] = useState(webhook?.url ?? '')
  const [chosen, setChosen] = useState<readonly WebhookType[]>(webhook?.types ?? usual)
  const [workflowId, setWorkflowId] = useState(webhook?.filter?.workflowId ?? '')
  const [groupId, setGroupId] = useState(webhook?.filter?.groupId ?? '')
  const [tag, setTag] = useState(webhook?.filter?.tag ?? '')
  const [made, setMade] = useState<CreatedWebhook>()
  // One key for all attempts of this dialog: a repeated request must not create a second one.
  const [key] = useState(() => `webhook-${Date.now()}-${Math.random()}`)
  if (made !== undefined) {
    return (
      <Dialog title={m.newWebhook} onClose={onClose}>
        {made.secret === '' ? (
          // The answer to the first attempt was lost, and with it the secret.
          <p>{m.secretLost}</p>
        ) : (
          <>
            <p>{m.secretOnce}</p>
            <SecretField label={m.secret} value={made.secret} />
          </>
        )}
        <div className="buttons end">
          <button type="button" className="primary" onClick={onClose}>
            {m.done}
          </button>
        </div>
      </Dialog>
    )
  }
  const submit = async () => {
    const filter = {
      ...(workflowId !== '' && { workflowId }),
      ...(groupId !== '' && { groupId }),
      ...(tag.trim() !== '' && { tag: tag.trim() }),
    }
    const body: WriteWebhook = { url: url.trim(), types: [...chosen], filter, enabled: webhook?.enabled ?? true }
    if (webhook !== undefined) {
      await request('PUT', `/webhooks/${webhook.id}`, { body })
      onSaved(webhook.id)
      onClose()
      return
    }
    const created = await request<CreatedWebhook>('POST', '/webhooks', { body, headers: { 'idempotency-key': key } })
    setMade(created)
    onSaved(created.id)
  }
  return (
    <FormDialog
      title={webhook === undefined ? m.newWebhook : m.editOf(webhook.url)}
      action={webhook === undefined ? m.create : m.save}
      isReady={url.trim() !== '' && chosen.length > 0}
      onSubmit={submit}
      onClose={onClose}
    >
      <label>
        {m.address}
        <input
          type="url"
          required
          maxLength={2000}
          placeholder="https://example.org/relive"
          value={url}
          onChange={(event) => setUrl(event.target.value)}
        />
      </label>
      <fieldset className="checks">
        <legend>{m.events}</legend>
        {types.map((type) => (
          <label key={type}>
            <input
              type="checkbox"
              checked={chosen.includes(type)}
              onChange={(event) =>
                setChosen(types.filter((each) => (each === type ? event.target.checked : chosen.includes(each))))
              }
            />
            {type}
          </label>
        ))}
      </fieldset>
      <Choice label={t.workflow} none={m.any} value={workflowId} entries={workflows} onChange={setWorkflowId} />
      <Choice label={t.group} none={m.any} value={groupId} entries={groups} onChange={setGroupId} />
      <label>
        {m.tag}
        <input maxLength={64} placeholder={m.any} value={tag} onChange={(event) => setTag(event.target.value)} />
      </label>
    </FormDialog>
  )
}
