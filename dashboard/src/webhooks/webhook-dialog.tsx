import type { CreatedWebhook, Webhook, WebhookType, WriteWebhook } from '@relive/types'
import { useState } from 'react'

import { useText } from '../i18n/text'
import { EntityDialog } from '../more/entity-dialog'
import { Choice } from '../more/form'
import { useMoreText } from '../more/text'
import { catalog } from '../sessions/catalog'
import { useStore } from '../store/use-store'
import { Dialog } from '../ui/dialog'
import { Checks, TextField, textMember } from '../ui/fields'
import { NewSecret } from './new-secret'

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
  'alert.raised',
  'alert.resolved',
]
const typeEntries = types.map((id) => ({ id, name: id }))
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
  if (made !== undefined) {
    return (
      <Dialog title={m.newWebhook} onClose={onClose}>
        <NewSecret secret={made.secret ?? ''} onClose={onClose} />
      </Dialog>
    )
  }
  const body = (): WriteWebhook => ({
    url: url.trim(),
    types: [...chosen],
    filter: {
      ...(workflowId !== '' && { workflowId }),
      ...(groupId !== '' && { groupId }),
      ...textMember('tag', tag),
    },
    enabled: webhook?.enabled ?? true,
  })
  return (
    <EntityDialog<CreatedWebhook>
      path="/webhooks"
      entity={webhook && { id: webhook.id, name: webhook.url }}
      newTitle={m.newWebhook}
      isReady={url.trim() !== '' && chosen.length > 0}
      body={body}
      onSaved={(saved) => {
        onSaved(saved.id)
        if (webhook !== undefined) return true
        setMade(saved)
        // The secret is to be seen.
        return false
      }}
      onClose={onClose}
    >
      <TextField
        label={m.address}
        type="url"
        required
        maxLength={2000}
        placeholder="https://example.org/relive"
        value={url}
        onChange={setUrl}
      />
      <Checks label={m.events} entries={typeEntries} chosen={chosen} onChange={setChosen} />
      <Choice label={t.workflow} none={m.any} value={workflowId} entries={workflows} onChange={setWorkflowId} />
      <Choice label={t.group} none={m.any} value={groupId} entries={groups} onChange={setGroupId} />
      <TextField label={m.tag} maxLength={64} placeholder={m.any} value={tag} onChange={setTag} />
    </EntityDialog>
  )
}
