import { type ReactNode, useEffect, useId, useRef } from 'react'

import { useText } from '../i18n/text'
import { Icon } from './icon'

interface DialogProps {
  title: string
  /** For what needs room. */
  isWide?: boolean
  onClose(): void
  children: ReactNode
}

/** The browser's own dialog: it traps the focus, closes on Escape, and restores the focus. */
export function Dialog({ title, isWide = false, onClose, children }: DialogProps) {
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
      className={isWide ? 'dialog wide' : 'dialog'}
      aria-labelledby={titleId}
      onCancel={onClose}
      onMouseDown={(event) => {
        // Much that was written would be lost by a slip.
        if (event.target === element.current && !isWide) onClose()
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
