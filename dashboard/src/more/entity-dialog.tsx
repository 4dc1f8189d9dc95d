import { type ReactNode, useState } from 'react'

import { request } from '../api/http'
import { FormDialog } from './form'
import { useMoreText } from './text'

interface EntityDialogProps<Made> {
  /** Where things of this kind are made; one is changed below it. */
  path: string
  /** The one to change, and what it is called; `undefined`: a new one. */
  entity: { readonly id: string; readonly name: string } | undefined
  newTitle: string
  /** How one is changed: as a whole, or by the members that are sent. */
  changedBy?: 'PUT' | 'PATCH'
  isReady: boolean
  body(): unknown
  /** Called with what was made or changed; what it returns `false` for stays open. */
  onSaved(saved: Made): unknown
  onClose(): void
  children: ReactNode
}

/** A form that makes something at the server, or changes it. */
export function EntityDialog<Made>(props: EntityDialogProps<Made>) {
  const { path, entity, newTitle, changedBy = 'PUT', isReady, body, onSaved, onClose, children } = props
  const m = useMoreText()
  // One key for all attempts of this dialog: a repeated request must not make a second one.
  const [key] = useState(() => `${path}-${Date.now()}-${Math.random()}`)
  const submit = async () => {
    const saved =
      entity === undefined
        ? await request<Made>('POST', path, { body: body(), headers: { 'idempotency-key': key } })
        : await request<Made>(changedBy, `${path}/${entity.id}`, { body: body() })
    if (onSaved(saved) !== false) onClose()
  }
  return (
    <FormDialog
      title={entity === undefined ? newTitle : m.editOf(entity.name)}
      action={entity === undefined ? m.create : m.save}
      isReady={isReady}
      onSubmit={submit}
      onClose={onClose}
    >
      {children}
    </FormDialog>
  )
}
