import type { CreatedWebhook, RotateWebhookSecret, Webhook } from '@relive/types'
import { useState } from 'react'

import { request } from '../api/http'
import { Choice, FormDialog } from '../more/form'
import { useMoreText } from '../more/text'
import { Dialog } from '../ui/dialog'
import { NewSecret } from './new-secret'

/** As in docs/webhooks.md. */
const seconds = { hour: 3_600, day: 86_400, week: 604_800, none: 0 } as const

type Overlap = keyof typeof seconds

interface RotateDialogProps {
  webhook: Webhook
  /** Called when the dialog is closed after it. */
  onRotated(): void
  onClose(): void
}

/** Gives a webhook a new secret, and shows it: the only time that it can be seen. */
export function RotateDialog({ webhook, onRotated, onClose }: RotateDialogProps) {
  const m = useMoreText()
  const [overlap, setOverlap] = useState<Overlap>('day')
  const [secret, setSecret] = useState<string>()
  const title = m.ofThing(m.rotateSecret, webhook.url)
  if (secret !== undefined) {
    // The list is read again afterwards: until then this is all there is to be seen.
    const close = () => {
      onRotated()
      onClose()
    }
    return (
      <Dialog title={title} onClose={close}>
        <NewSecret secret={secret} onClose={close} />
      </Dialog>
    )
  }
  const rotate = async () => {
    const body: RotateWebhookSecret = { overlapSeconds: seconds[overlap] }
    const rotated = await request<CreatedWebhook>('POST', `/webhooks/${webhook.id}/secret/rotate`, { body })
    setSecret(rotated.secret)
  }
  return (
    <FormDialog title={title} action={m.rotateNow} isReady onSubmit={rotate} onClose={onClose}>
      <Choice
        label={m.secretOverlap}
        value={overlap}
        entries={(['hour', 'day', 'week', 'none'] as const).map((id) => ({ id, name: m.overlapOf[id] }))}
        onChange={(value) => setOverlap(value as Overlap)}
      />
      <p className="faint hint">{m.secretOverlapHint}</p>
    </FormDialog>
  )
}
