import { type KeyboardEvent, type PointerEvent, useLayoutEffect, useMemo, useRef, useState } from 'react'

import { knownNow } from '../app/known-now'
import { millis, position } from '../format/time'
import { useText } from '../i18n/text'
import { useMoment, useOpenSession, useReadableSession, useSession } from '../session/session-context'
import { shownSession } from '../session/state'
import { type Axis, placeOf, revisionAt, shareOf, timeAt } from '../timeline/axis'
import { targetAt } from '../timeline/target'
import { useAxis, useMovingMoment, useTimelineView, useView } from '../timeline/use-axis'
import { setProperty } from '../ui/set-property'
import { useCanvas } from '../ui/use-canvas'
import { type Mark, type MarkKind, marksOf } from './marks'

/** The whole run as a slider: the selected moment, marks, and idle gaps. */
export function Scrubber() {
  const t = useText()
  const { player } = useOpenSession()
  const axis = useAxis()
  const lanes = useReadableSession((state) => state.lanes)
  const idle = useSession((state) => state.replay?.state?.idle)
  const revision = useReadableSession((state) => shownSession(state)?.revision ?? 1)
  const last = useReadableSession((state) => state.live?.revision ?? 1)
  const moment = useMoment()
  const track = useRef<HTMLDivElement>(null)
  /** In units of the axis. */
  const [hover, setHover] = useState<number>()
  const marks = useMemo(() => marksOf(lanes, axis), [lanes, axis])
  useMovingMoment((at) => setProperty(track.current, '--at', String(at / axis.length)))

  const positionOf = (event: PointerEvent) => {
    const box = track.current?.getBoundingClientRect()
    if (box === undefined || box.width === 0) return 0
    return Math.min(1, Math.max(0, (event.clientX - box.left) / box.width)) * axis.length
  }
  const seek = (at: number) => player.seek(targetAt(axis, Math.min(axis.length, Math.max(0, at)), knownNow()))
  const page = (by: number) => seek(placeOf(axis, moment(), revision) + by * axis.length)
  const onKeyDown = (event: KeyboardEvent) => {
    if (event.key === 'ArrowLeft' || event.key === 'ArrowDown') player.step(-1)
    else if (event.key === 'ArrowRight' || event.key === 'ArrowUp') player.step(1)
    else if (event.key === 'Home') player.toStart()
    else if (event.key === 'End') player.toEnd()
    else if (event.key === 'PageDown') page(-0.1)
    else if (event.key === 'PageUp') page(0.1)
    else return
    event.preventDefault()
    event.stopPropagation()
  }
  return (
    <div
      ref={track}
      className="scrubber"
      role="slider"
      tabIndex={0}
      aria-label={t.moment}
      aria-valuemin={1}
      aria-valuemax={last}
      aria-valuenow={revision}
      aria-valuetext={t.momentText(position(moment() - axis.start), revision)}
      onKeyDown={onKeyDown}
      onPointerDown={(event) => {
        if (event.button !== 0) return
        event.currentTarget.setPointerCapture(event.pointerId)
        seek(positionOf(event))
      }}
      onPointerMove={(event) => {
        setHover(positionOf(event))
        if (event.currentTarget.hasPointerCapture(event.pointerId)) seek(positionOf(event))
      }}
      onPointerLeave={() => setHover(undefined)}
    >
      <span className="scrubber-track">
        <i className="scrubber-fill" />
        {axis.gaps.map(({ from, to }) => (
          <i key={from} className="scrubber-gap" style={within(axis, from, to)} />
        ))}
        {idle
          ?.filter(({ from, to }) => !isShortened(axis, millis(from), millis(to)))
          .map(({ from, to }) => (
            <i key={from} className="scrubber-idle" style={within(axis, millis(from), millis(to))} />
          ))}
      </span>
      <ScrubberZoom axis={axis} />
      <Marks marks={marks} />
      <b className="scrubber-thumb" />
      {hover !== undefined && (
        <output className="scrubber-hint num" style={{ left: `${(hover / axis.length) * 100}%` }}>
          {hintAt(axis, hover)}
        </output>
      )}
    </div>
  )
}

function hintAt(axis: Axis, at: number): string {
  const revision = revisionAt(axis, at)
  const clock = position(timeAt(axis, at) - axis.start)
  return revision === undefined ? clock : `#${revision} · ${clock}`
}

function within(axis: Axis, from: number, to: number): { left: string; width: string } {
  const [begin, end] = [shareOf(axis, from), shareOf(axis, to)]
  return { left: `${begin * 100}%`, width: `${(end - begin) * 100}%` }
}

/** Is marked as such already. */
function isShortened({ gaps }: Axis, from: number, to: number): boolean {
  const middle = (from + to) / 2
  return gaps.some((gap) => gap.from <= middle && middle <= gap.to)
}

/** The part that the timeline shows. It is placed without rendering, since it changes with every frame of a gesture. */
function ScrubberZoom({ axis }: { axis: Axis }) {
  const view = useTimelineView()
  const isZoomed = useView(({ zoom }) => zoom !== undefined)
  const frame = useRef<HTMLElement>(null)
  useLayoutEffect(() => {
    const place = () => {
      const { zoom } = view
      if (frame.current === null || zoom === undefined) return
      frame.current.style.left = `${(zoom.from / axis.length) * 100}%`
      frame.current.style.right = `${(1 - zoom.to / axis.length) * 100}%`
    }
    if (!isZoomed) return
    place()
    return view.subscribe(place)
  }, [view, axis, isZoomed])
  return isZoomed ? <i ref={frame} className="scrubber-zoom" /> : null
}

const colours: Record<MarkKind, string> = { change: '--completed', review: '--suspended', error: '--failed' }

function Marks({ marks }: { marks: readonly Mark[] }) {
  const [canvas] = useCanvas((surface, { width, height, token }) => {
    for (const { kind, at } of marks) {
      const short = kind === 'change' ? 5 : 1
      surface.fillStyle = token(colours[kind])
      surface.fillRect(
        at * (width - 2),
        short,
        kind === 'error' ? 2.5 : kind === 'review' ? 2 : 1.5,
        height - 2 * short,
      )
    }
  })
  return <canvas ref={canvas} className="scrubber-marks" />
}
