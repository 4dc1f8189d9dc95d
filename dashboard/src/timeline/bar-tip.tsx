import type { CSSProperties } from 'react'

import { count } from '../format/number'
import { duration, position } from '../format/time'
import type { Text } from '../i18n/en'
import { useText } from '../i18n/text'
import { nodeName } from '../node/instances'
import { useMoment, useReadableSession, useSession } from '../session/session-context'
import { shownSession } from '../session/state'
import { StatusIcon } from '../status/status-icon'
import { TickingText } from '../ui/ticking-text'
import { isNamed } from './bar-steps'
import type { Bar } from './lanes'
import type { Pointed } from './timeline-view'
import { useAxis, useView } from './use-axis'

/** How wide a tip can be, and how far it is from what it is about. */
const [tipWidth, margin] = [240, 12]

/** What the bar is that is pointed at; where the keys have moved is read out as well. */
export function BarTip() {
  const t = useText()
  const pointed = useView((view) => view.pointed)
  const lane = useSession((state) => (pointed === undefined ? undefined : state.lanes.get(pointed.bar.id)))
  const graph = useSession((state) => state.graph)
  const shown = useReadableSession(shownSession)
  const { start } = useAxis()
  const moment = useMoment()
  const bar = pointed && lane?.bars.find((each) => isNamed(pointed.bar, pointed.bar.id, each))
  const name = pointed === undefined ? '' : nodeName(pointed.bar.id, shown, graph)
  const { inputTokens = 0, outputTokens = 0 } = (pointed && shown?.nodes[pointed.bar.id]?.tokenUsage) ?? {}
  const usage = tokensIn(t, inputTokens + outputTokens, lane?.bars.at(-1)?.attempt ?? 1)
  const took = () => (bar === undefined ? '' : duration((bar.to ?? Math.max(bar.from, moment())) - bar.from))
  const facts = bar === undefined ? '' : [position(bar.from - start), usage].filter(Boolean).join(' · ')
  return (
    <>
      <p className="visually-hidden" role="status">
        {bar !== undefined && pointed?.byKeys === true ? [name, inWords(t, bar), took(), facts].join(', ') : ''}
      </p>
      {bar !== undefined && pointed !== undefined && (
        <div className="bar-tip" aria-hidden="true" style={besides(pointed)}>
          <b>{name}</b>
          <span className={`bar-tip-status ${bar.status}`}>
            <StatusIcon status={bar.status} />
            <span className="num">
              {inWords(t, bar)}
              {' · '}
              <TickingText text={took} />
            </span>
          </span>
          <span className="faint num">{facts}</span>
        </div>
      )}
    </>
  )
}

/** Above what it is about, and to the left of it where there is no room to the right. */
function besides({ x, y }: Pointed): CSSProperties {
  const bottom = Math.max(margin, innerHeight - y + margin)
  return x + margin + tipWidth > innerWidth
    ? { bottom, right: Math.max(margin, innerWidth - x + margin) }
    : { bottom, left: x + margin }
}

function inWords(t: Text, { status, attempt }: Bar): string {
  return attempt > 1 ? `${t.status[status]}, ${t.attempt(attempt)}` : t.status[status]
}

/** Tokens are counted for each node, and not for each attempt. */
function tokensIn(t: Text, tokens: number, attempts: number): string {
  if (tokens === 0) return ''
  return attempts > 1 ? t.tokensOfAll(count(tokens)) : `${count(tokens)} ${t.tokens}`
}
