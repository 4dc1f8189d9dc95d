import { type ReactNode, useEffect, useId, useRef } from 'react'

import { useText } from '../i18n/text'
import { Icon } from './icon'

interface DialogProps {
  title: string
  onClose(): void
  children: ReactNode
}

/** The browser's own dialog: it traps the focus, closes on Escape, and restores the focus. */
export function Dialog({ title, onClose, children }: DialogProps) {
  const t = useText()
  const element = useRef<HTMLDialogElement>(null)
  const titleId = useId()
  useEffect(() => {
    const dialog = element.current
    if (dialog !== null && !dialog.open) dialog.showModal()
    return () => dialog?.close()
  }, [])
  return (
    <dialog
      ref={element}
      className="dialog"
      aria-labelledby={titleId}
      onCancel={onClose}
      onMouseDown={(event) => {
        if (event.target === element.current) onClose()
      }}
    >
      <div className="dialog-body">
        <div className="dialog-head">
          <h2 id={titleId}>{title}</h2>
          <button type="button" className="quiet" aria-label={t.close} onClick={onClose}>
            <Icon name="close" />
          </button>
        </div>
        {children}
      </div>
    </dialog>
  )
}
