import { useText } from '../i18n/text'
import { Dialog } from './dialog'

interface ConfirmDialogProps {
  title: string
  /** What will happen, and whether it can be undone. */
  consequence: string
  action: string
  onConfirm(): void
  onClose(): void
}

/** Asks before something that cannot be undone. */
export function ConfirmDialog({ title, consequence, action, onConfirm, onClose }: ConfirmDialogProps) {
  const t = useText()
  return (
    <Dialog title={title} onClose={onClose}>
      <p>{consequence}</p>
      <div className="buttons end">
        <button type="button" onClick={onClose}>
          {t.back}
        </button>
        <button
          type="button"
          className="danger"
          onClick={() => {
            onClose()
            onConfirm()
          }}
        >
          {action}
        </button>
      </div>
    </Dialog>
  )
}
