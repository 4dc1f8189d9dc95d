import { type ReactNode, type ToggleEvent, useId, useRef, useState } from 'react'

interface PopoverProps {
  /** What the button shows. */
  children: ReactNode
  /** The button's name, where it shows none. */
  label?: string
  className?: string
  content(close: () => void): ReactNode
}

const edge = 8
/** What most menus need. */
const enough = 260

/** A button and what it opens: the browser's own popover, which closes on Escape, on a click elsewhere, and alone. */
export function Popover({ children, label, className = '', content }: PopoverProps) {
  const id = useId()
  const button = useRef<HTMLButtonElement>(null)
  const panel = useRef<HTMLDivElement>(null)
  const [isOpen, setOpen] = useState(false)
  const onBeforeToggle = ({ newState }: ToggleEvent<HTMLDivElement>) => {
    const [from, to] = [button.current, panel.current]
    setOpen(newState === 'open')
    if (newState !== 'open' || from === null || to === null) return
    const { left, right, top, bottom } = from.getBoundingClientRect()
    const isRight = left + right > innerWidth
    // Near the lower edge it opens upwards.
    const below = innerHeight - bottom - 4 - edge
    const isAbove = below < enough && top - 4 - edge > below
    to.style.top = isAbove ? 'auto' : `${bottom + 4}px`
    to.style.bottom = isAbove ? `${innerHeight - top + 4}px` : 'auto'
    to.style.left = isRight ? 'auto' : `${Math.max(edge, left)}px`
    to.style.right = isRight ? `${Math.max(edge, innerWidth - right)}px` : 'auto'
    to.style.maxHeight = `${isAbove ? top - 4 - edge : below}px`
  }
  return (
    <>
      <button
        ref={button}
        type="button"
        className={className}
        aria-label={label}
        title={label}
        aria-expanded={isOpen}
        popoverTarget={id}
      >
        {children}
      </button>
      <div ref={panel} id={id} popover="auto" className="popover scroll" onBeforeToggle={onBeforeToggle}>
        {isOpen && content(() => panel.current?.hidePopover())}
      </div>
    </>
  )
}
