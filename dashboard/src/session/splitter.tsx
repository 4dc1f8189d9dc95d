import { useRef } from 'react'

import type { PanelName, PanelSize } from './panel-size'

interface SplitterProps {
  name: PanelName
  size: PanelSize
  label: string
}

const step = 20
/** Which way the part grows: to the right, to the left, upwards. */
const growing = { side: 'ArrowRight', panels: 'ArrowLeft', timeline: 'ArrowUp' } as const
const shrinking = { side: 'ArrowLeft', panels: 'ArrowRight', timeline: 'ArrowDown' } as const

/**
 * The separator beside a part of the page: dragged, or moved by its arrow keys, `Home` and `End`. A double click, or
 * `Enter`, makes the part as it was at first.
 */
export function Splitter({ name, size, label }: SplitterProps) {
  const isFlat = name === 'timeline'
  /** Where the drag began: the pointer may go beyond the bounds, and come back. */
  const from = useRef({ at: 0, value: 0 })
  const position = (event: { clientX: number; clientY: number }) =>
    name === 'side' ? event.clientX : name === 'panels' ? -event.clientX : -event.clientY
  return (
    <div
      className={`splitter of-${name}`}
      role="separator"
      aria-orientation={isFlat ? 'horizontal' : 'vertical'}
      aria-label={label}
      aria-valuemin={size.least}
      aria-valuemax={size.most}
      aria-valuenow={size.value}
      tabIndex={0}
      onKeyDown={(event) => {
        const { key } = event
        if (key === growing[name]) size.set(size.value + step)
        else if (key === shrinking[name]) size.set(size.value - step)
        else if (key === 'Home') size.set(size.least)
        else if (key === 'End') size.set(size.most)
        else if (key === 'Enter') size.set(undefined)
        else return
        event.preventDefault()
        event.stopPropagation()
      }}
      onPointerDown={(event) => {
        event.currentTarget.setPointerCapture(event.pointerId)
        from.current = { at: position(event), value: size.value }
      }}
      onPointerMove={(event) => {
        if (!event.currentTarget.hasPointerCapture(event.pointerId)) return
        const { at, value } = from.current
        const moved = position(event) - at
        // A click that does not move is no wish for this size.
        if (moved !== 0) size.set(value + moved)
      }}
      onDoubleClick={() => size.set(undefined)}
    />
  )
}
