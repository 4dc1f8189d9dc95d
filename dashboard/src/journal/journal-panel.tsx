import { useVirtualizer } from '@tanstack/react-virtual'
import { useEffect, useMemo, useReducer, useRef, useState } from 'react'

import { ValueView } from '../context/value-view'
import { millis, position } from '../format/time'
import { useText } from '../i18n/text'
import { nodeName } from '../node/instances'
import { useSelectedNode } from '../session/selection'
import { useOpenSession, useReadableSession, useSession } from '../session/session-context'
import { StatusIcon } from '../status/status-icon'
import { Icon } from '../ui/icon'
import { Said } from '../ui/said'
import { describe } from './describe'
import { leftOutBefore } from './listed'
import { JournalPages } from './pages'

const rowHeight = 28
const followWithin = rowHeight * 2

/** Every event of the run, the oldest first; each is a link to its moment. */
export function JournalPanel() {
  const t = useText()
  const { store, player } = useOpenSession()
  const [, redraw] = useReducer((count: number) => count + 1, 0)
  const [opened, setOpened] = useState<number>()
  const pages = useMemo(() => new JournalPages(store.shown().id, redraw), [store])
  useEffect(() => () => pages.close(), [pages])
  pages.begin()
  const last = useReadableSession((state) => state.live?.revision ?? 0)
  const current = useReadableSession((state) => state.replay?.state?.revision)
  const live = useReadableSession((state) => state.live)
  const graph = useSession((state) => state.graph)
  const selected = useSelectedNode()
  const start = live === undefined ? 0 : millis(live.startedAt ?? live.createdAt)
  const before = leftOutBefore(last, current)
  const scroller = useRef<HTMLDivElement>(null)
  const isFollowing = useRef(true)
  const list = useVirtualizer({
    count: last - before,
    getScrollElement: () => scroller.current,
    estimateSize: () => rowHeight,
    overscan: 12,
  })
  // biome-ignore lint/correctness/useExhaustiveDependencies: only another moment scrolls the list; new events of a live run do not.
  useEffect(() => {
    if (current !== undefined) list.scrollToIndex(current - before - 1, { align: 'auto' })
  }, [before, current])
  useEffect(() => {
    // A fixed value: measuring the end would force a layout at every event.
    if (current === undefined && isFollowing.current && scroller.current !== null)
      scroller.current.scrollTop = (last - before) * rowHeight
  }, [last, before, current])
  const onScroll = () => {
    const element = scroller.current
    if (element !== null)
      isFollowing.current = element.scrollHeight - element.scrollTop - element.clientHeight < followWithin
  }
  const event = opened === undefined ? undefined : pages.at(opened, last)
  return (
    <div className="journal-panel">
      <div
        ref={scroller}
        className="journal scroll"
        onScroll={onScroll}
        tabIndex={0}
        role="region"
        aria-label={t.journal}
      >
        <ol className="virtual" style={{ height: list.getTotalSize() }} start={before + 1}>
          {list.getVirtualItems().map(({ index, start: top }) => {
            const revision = before + index + 1
            const recorded = pages.at(revision, last)
            const said = recorded && describe(recorded.event, t, (nodeId) => nodeName(nodeId, live, graph))
            const by = recorded?.by?.name
            const isAhead = current !== undefined && revision > current
            return (
              <li key={revision} className={`journal-row${isAhead ? ' ahead' : ''}`} style={{ top }}>
                <button
                  type="button"
                  className={`num${revision === current ? ' current' : ''}${said?.nodeId !== undefined && said.nodeId === selected ? ' selected' : ''}`}
                  onClick={() => {
                    setOpened(revision)
                    player.seek({ revision })
                  }}
                >
                  <span className="journal-revision" aria-hidden="true">
                    {revision}
                  </span>
                  <span className="journal-time" aria-hidden="true">
                    {recorded === undefined ? '' : position(millis(recorded.at) - start)}
                  </span>
                  {said?.status === undefined ? <span className="journal-dot" /> : <StatusIcon status={said.status} />}
                  <span className="journal-text">
                    <Said>{`${t.goToRevision(revision)}${said === undefined ? '' : ': '}`}</Said>
                    <b>{said?.subject}</b> {said?.text}
                    {by !== undefined && <Said>{`, ${t.by(by)}`}</Said>}
                  </span>
                  {by !== undefined && (
                    <span className="journal-by" title={t.by(by)} aria-hidden="true">
                      {by}
                    </span>
                  )}
                </button>
              </li>
            )
          })}
        </ol>
      </div>
      {opened !== undefined && (
        <section className="journal-event scroll" aria-label={t.wholeEvent(opened)} tabIndex={0}>
          <div className="journal-event-head">
            <b className="num">{t.wholeEvent(opened)}</b>
            <button type="button" className="quiet" aria-label={t.close} onClick={() => setOpened(undefined)}>
              <Icon name="close" />
            </button>
          </div>
          {event === undefined ? <p className="faint">{t.loading}</p> : <ValueView value={event} />}
        </section>
      )}
    </div>
  )
}
