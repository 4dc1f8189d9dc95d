import { type RefObject, useEffect, useRef } from 'react'

import type { Span } from './span'
import { moved, zoomed } from './span'
import type { TimelineView } from './timeline-view'

interface Gestures {
  /** A press without a movement, or a movement where nothing can be panned: at `x` pixels from the left. */
  seek(x: number): void
  click(x: number, y: number): void
  /** After its two clicks. */
  doubleClick(): void
  /** A mouse that is above, in pixels of the area and of the window. */
  hover(at: { x: number; y: number; clientX: number; clientY: number } | undefined): void
}

/** A press that moves no further than this is a click. */
const still = 4
/** What one turn of a wheel, or one movement of two fingers on a pad, changes at most. */
const turnAtMost = 50
const perTurn = 0.012
const linesHigh = 16

type Mode = 'none' | 'press' | 'pan' | 'scrub' | 'pinch'

/** Zooms and pans by wheel, drag and two fingers; what is not zoomed is scrubbed instead of panned. */
export function useGestures(area: RefObject<HTMLElement | null>, view: TimelineView, gestures: Gestures): void {
  const newest = useRef(gestures)
  newest.current = gestures
  useEffect(() => {
    const element = area.current
    if (element === null) return
    const stop = [onWheel(element, view), onPointers(element, view, newest)]
    return () => stop.forEach((each) => each())
  }, [area, view])
}

function unitsPer(element: HTMLElement, { from, to }: Span): number {
  return (to - from) / Math.max(1, element.clientWidth)
}

function positionIn(element: HTMLElement, span: Span, x: number): number {
  return span.from + x * unitsPer(element, span)
}

function zoomAt(element: HTMLElement, view: TimelineView, factor: number, x: number): void {
  const span = view.span()
  view.show(zoomed(view.axis(), span, factor, positionIn(element, span, x)))
}

/** Zooms by the wheel with Ctrl, which is also what two fingers on a pad send, and pans sideways. */
export function onWheel(element: HTMLElement, view: TimelineView): () => void {
  const turn = (event: WheelEvent) => {
    const unit = event.deltaMode === WheelEvent.DOM_DELTA_PIXEL ? 1 : linesHigh
    const { left } = element.getBoundingClientRect()
    if (event.ctrlKey || event.metaKey) {
      event.preventDefault()
      const by = Math.max(-turnAtMost, Math.min(turnAtMost, event.deltaY * unit))
      zoomAt(element, view, 2 ** (-by * perTurn), event.clientX - left)
      return
    }
    const sideways = event.shiftKey && event.deltaX === 0 ? event.deltaY : event.deltaX
    if (view.zoom === undefined || Math.abs(sideways) <= (event.shiftKey ? 0 : Math.abs(event.deltaY))) return
    event.preventDefault()
    const span = view.span()
    view.show(moved(view.axis(), span, sideways * unit * unitsPer(element, span)))
  }
  element.addEventListener('wheel', turn, { passive: false })
  return () => element.removeEventListener('wheel', turn)
}

interface Point {
  readonly x: number
  readonly y: number
}

function onPointers(element: HTMLElement, view: TimelineView, gestures: { readonly current: Gestures }): () => void {
  const pointers = new Map<number, Point>()
  let mode: Mode = 'none'
  let pressed: Point = { x: 0, y: 0 }
  const local = ({ clientX, clientY }: PointerEvent): Point => {
    const { left, top } = element.getBoundingClientRect()
    return { x: clientX - left, y: clientY - top }
  }
  const begin = (next: Mode) => {
    mode = next
    element.dataset['mode'] = next
  }
  const down = (event: PointerEvent) => {
    if (event.pointerType === 'mouse' && event.button !== 0) return
    element.setPointerCapture(event.pointerId)
    pointers.set(event.pointerId, local(event))
    gestures.current.hover(undefined)
    pressed = local(event)
    begin(pointers.size === 1 ? 'press' : 'pinch')
  }
  const move = (event: PointerEvent) => {
    const at = local(event)
    const before = pointers.get(event.pointerId)
    if (before === undefined) {
      if (event.pointerType === 'mouse')
        gestures.current.hover({ ...at, clientX: event.clientX, clientY: event.clientY })
      return
    }
    const others = [...pointers].filter(([id]) => id !== event.pointerId).map(([, point]) => point)
    pointers.set(event.pointerId, at)
    if (mode === 'press' && Math.abs(at.x - pressed.x) > still) begin(view.zoom === undefined ? 'scrub' : 'pan')
    if (mode === 'scrub') gestures.current.seek(at.x)
    if (mode === 'pan') {
      const span = view.span()
      view.show(moved(view.axis(), span, (before.x - at.x) * unitsPer(element, span)))
    }
    const [other] = others
    if (mode === 'pinch' && other !== undefined) pinch(element, view, before, at, other)
  }
  const up = (event: PointerEvent) => {
    const known = pointers.delete(event.pointerId)
    const { x, y } = local(event)
    const isClick = mode === 'press' && event.type === 'pointerup' && Math.hypot(x - pressed.x, y - pressed.y) <= still
    if (known && isClick) gestures.current.click(pressed.x, pressed.y)
    // Of two fingers, the one that stays pans on.
    begin(pointers.size > 0 ? 'pan' : 'none')
  }
  const leave = () => gestures.current.hover(undefined)
  const twice = () => gestures.current.doubleClick()
  const events = [
    ['pointerdown', down],
    ['pointermove', move],
    ['pointerup', up],
    ['pointercancel', up],
    ['pointerleave', leave],
    ['dblclick', twice],
  ] as const
  for (const [name, listener] of events) element.addEventListener(name, listener as EventListener)
  return () => {
    for (const [name, listener] of events) element.removeEventListener(name, listener as EventListener)
  }
}

/** Two fingers hold two positions: what is below them stays below them. */
function pinch(element: HTMLElement, view: TimelineView, before: Point, at: Point, other: Point): void {
  const least = 8
  const [was, is] = [before, at].map(({ x, y }) => Math.max(least, Math.hypot(x - other.x, y - other.y)))
  const held = (before.x + other.x) / 2
  const factor = (is ?? 1) / (was ?? 1)
  const span = view.span()
  const next = zoomed(view.axis(), span, factor, positionIn(element, span, held))
  const by = (held - (at.x + other.x) / 2) * unitsPer(element, next ?? span)
  view.show(next === undefined ? undefined : moved(view.axis(), next, by))
}
