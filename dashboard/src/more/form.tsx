import type { ReactNode } from 'react'

import { useText } from '../i18n/text'
import { Dialog } from '../ui/dialog'
import { useAction } from './use-action'

interface FormDialogProps {
  title: string
  action: string
  /** What its button says while it is being done. */
  actionNow?: string
  /** What was entered can be sent. */
  isReady: boolean
  /** Sends it, and closes the dialog if nothing more is to be shown. */
  onSubmit(): Promise<unknown>
  onClose(): void
  children: ReactNode
}

/** A dialog with a form that is sent to the server; what it refuses is said, and nothing entered is lost. */
export function FormDialog({ title, action, actionNow, isReady, onSubmit, onClose, children }: FormDialogProps) {
  const t = useText()
  const { isBusy, error, run } = useAction()
  return (
    <Dialog title={title} onClose={onClose}>
      <form
        className="start-form"
        onSubmit={(event) => {
          event.preventDefault()
          if (isReady && !isBusy) void run(onSubmit)
        }}
      >
        {children}
        {error !== undefined && (
          <p className="error-line" role="alert">
            {error}
          </p>
        )}
        <div className="buttons end">
          <button type="button" onClick={onClose}>
            {t.cancelDialog}
          </button>
          <button type="submit" className="primary" disabled={!isReady || isBusy}>
            {isBusy ? (actionNow ?? action) : action}
          </button>
        </div>
      </form>
    </Dialog>
  )
}

interface ChoiceProps {
  label: string
  value: string
  /** Of no choice. */
  none?: string
  entries: readonly { readonly id: string; readonly name: string }[]
  onChange(value: string): void
}

/** One of some things of the catalog, or none of them. A value that is not among those read is kept. */
export function Choice({ label, value, none, entries, onChange }: ChoiceProps) {
  return (
    <label>
      {label}
      <select value={value} onChange={(event) => onChange(event.target.value)}>
        {none !== undefined && <option value="">{none}</option>}
        {value !== '' && !entries.some(({ id }) => id === value) && <option value={value}>…{value.slice(-8)}</option>}
        {entries.map(({ id, name }) => (
          <option key={id} value={id}>
            {name}
          </option>
        ))}
      </select>
    </label>
  )
}
