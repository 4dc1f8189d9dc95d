import { type KeyboardEvent, type PointerEvent, useMemo, useRef, useState } from 'react'

import { millis, position } from '../format/time'
import { useText } from '../i18n/text'
import { useMoment, useOpenSession, useReadableSession, useSession } from '../session/session-context'
import { shownSession } from '../session/state'
import { fraction } from '../timeline/domain'
import { useDomain, useMovingMoment } from '../timeline/use-domain'
import { marksOf } from './marks'

/** The whole run as a slider: the selected moment, marks, and idle gaps. */
export function Scrubber() {
  const t = useText()
  const { player } = useOpenSession()
  const domain = useDomain()
  const lanes = useReadableSession((state) => state.lanes)
  const idle = useSession((state) => state.replay?.state?.idle)
  const revision = useReadableSession((state) => shownSession(state)?.revision ?? 1)
  const last = useReadableSession((state) => state.live?.revision ?? 1)
  const moment = useMoment()
  const track = useRef<HTMLDivElement>(null)
  const [hover, setHover] = useState<number>()
  const marks = useMemo(() => marksOf(lanes, domain), [lanes, domain])
  useMovingMoment((at) => track.current?.style.setProperty('--at', String(fraction(domain, at))))

  const timeAt = (event: PointerEvent) => {
    const box = track.current?.getBoundingClientRect()
    if (box === undefined || box.width === 0) return domain.start
    const share = Math.min(1, Math.max(0, (event.clientX - box.left) / box.width))
    return Math.round(domain.start + share * (domain.end - domain.start))
  }
  const onKeyDown = (event: KeyboardEvent) => {
    const page = (domain.end - domain.start) / 10
    if (event.key === 'ArrowLeft' || event.key === 'ArrowDown') player.step(-1)
    else if (event.key === 'ArrowRight' || event.key === 'ArrowUp') player.step(1)
    else if (event.key === 'Home') player.toStart()
    else if (event.key === 'End') player.toEnd()
    else if (event.key === 'PageDown') player.seek({ at: Math.max(domain.start, Math.round(moment() - page)) })
    else if (event.key === 'PageUp') player.seek({ at: Math.min(domain.end, Math.round(moment() + page)) })
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
      aria-valuetext={t.momentText(position(moment() - domain.start), revision)}
      onKeyDown={onKeyDown}
      onPointerDown={(event) => {
        if (event.button !== 0) return
        event.currentTarget.setPointerCapture(event.pointerId)
        player.seek({ at: timeAt(event) })
      }}
      onPointerMove={(event) => {
        setHover(timeAt(event))
        if (event.currentTarget.hasPointerCapture(event.pointerId)) player.seek({ at: timeAt(event) })
      }}
      onPointerLeave={() => setHover(undefined)}
    >
      <span className="scrubber-track">
        <i className="scrubber-fill" />
        {idle?.map(({ from, to }) => (
          <i
            key={from}
            className="scrubber-idle"
            style={{
              left: `${fraction(domain, millis(from)) * 100}%`,
              width: `${(fraction(domain, millis(to)) - fraction(domain, millis(from))) * 100}%`,
            }}
          />
        ))}
      </span>
      <svg className="scrubber-marks" aria-hidden="true">
        {marks.map(({ kind, at }) => (
          <line
            key={`${kind} ${at}`}
            className={kind}
            x1={`${at * 100}%`}
            x2={`${at * 100}%`}
            y1={kind === 'change' ? 5 : 1}
            y2={kind === 'change' ? 13 : 17}
          />
        ))}
      </svg>
      <b className="scrubber-thumb" />
      {hover !== undefined && (
        <output className="scrubber-hint num" style={{ left: `${fraction(domain, hover) * 100}%` }}>
          {position(hover - domain.start)}
        </output>
      )}
    </div>
  )
}
