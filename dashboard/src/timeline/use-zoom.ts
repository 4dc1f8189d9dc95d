import { useEffect, useMemo } from 'react'

import { moved, zoomed } from './span'
import type { TimelineView } from './timeline-view'

export interface Zoom {
  in(): void
  out(): void
  whole(): void
}

const factor = 1.6
/** The part of what is in view by which the keys pan. */
const panned = 0.25

/**
 * Zooms around the moment, or around the middle where that is not in view: by buttons, and by `+`, `-` and `0` wherever
 * the focus is. Shift with an arrow pans.
 */
export function useZoom(view: TimelineView, moment: { readonly current: number | undefined }): Zoom {
  const zoom = useMemo(() => {
    const by = (times: number) => {
      const span = view.span()
      const at = moment.current
      const isInView = at !== undefined && at >= span.from && at <= span.to
      view.show(zoomed(view.axis(), span, times, isInView ? at : (span.from + span.to) / 2))
    }
    return { in: () => by(factor), out: () => by(1 / factor), whole: () => view.show(undefined) }
  }, [view, moment])
  useEffect(() => {
    const pan = (part: number) => {
      const span = view.span()
      view.show(moved(view.axis(), span, (span.to - span.from) * part))
    }
    const onKeyDown = (event: KeyboardEvent) => {
      if (event.defaultPrevented || event.ctrlKey || event.metaKey || event.altKey) return
      const target = event.target instanceof Element ? event.target : undefined
      if (target?.closest('input, textarea, select, [contenteditable], dialog') != null) return
      const { key } = event
      const pans = event.shiftKey && view.zoom !== undefined && target?.closest('[role="separator"]') == null
      if (key === '+' || key === '=') zoom.in()
      else if (key === '-' || key === '_') zoom.out()
      else if (key === '0') zoom.whole()
      else if (pans && key === 'ArrowLeft') pan(-panned)
      else if (pans && key === 'ArrowRight') pan(panned)
      else return
      event.preventDefault()
    }
    // Before the keys that move the replay, which arrows without Shift do.
    addEventListener('keydown', onKeyDown, true)
    return () => removeEventListener('keydown', onKeyDown, true)
  }, [view, zoom])
  return zoom
}
