import { useState } from 'react'

import { useText } from '../i18n/text'

const [least, most, first] = [64, 560, 164]
const key = 'relive.timeline'

export interface TimelineHeight {
  readonly value: number
  set(value: number): void
}

export function useTimelineHeight(): TimelineHeight {
  const [value, setValue] = useState(() => {
    try {
      return clamp(Number(localStorage.getItem(key) ?? first))
    } catch {
      return first
    }
  })
  return {
    value,
    set(next) {
      setValue(clamp(next))
      try {
        localStorage.setItem(key, String(clamp(next)))
      } catch {
        // Without storage the height lasts as long as the page.
      }
    },
  }
}

function clamp(value: number): number {
  return Number.isFinite(value) ? Math.round(Math.min(most, Math.max(least, value))) : first
}

/** The separator above the timeline, which can be dragged. */
export function Splitter({ height }: { height: TimelineHeight }) {
  const t = useText()
  return (
    <div
      className="splitter"
      role="separator"
      aria-orientation="horizontal"
      aria-label={t.resizeTimeline}
      aria-valuemin={least}
      aria-valuemax={most}
      aria-valuenow={height.value}
      tabIndex={0}
      onKeyDown={(event) => {
        const by = event.key === 'ArrowUp' ? 20 : event.key === 'ArrowDown' ? -20 : 0
        if (by === 0) return
        event.preventDefault()
        event.stopPropagation()
        height.set(height.value + by)
      }}
      onPointerDown={(event) => event.currentTarget.setPointerCapture(event.pointerId)}
      onPointerMove={(event) => {
        if (event.currentTarget.hasPointerCapture(event.pointerId)) height.set(height.value - event.movementY)
      }}
      onDoubleClick={() => height.set(first)}
    />
  )
}
