import { useVirtualizer } from '@tanstack/react-virtual'
import { useCallback, useEffect, useLayoutEffect, useMemo, useRef, useState } from 'react'

import { useText } from '../i18n/text'
import { selectedFrom, selectNode, useSelectedNode } from '../session/selection'
import { useOpenSession, useReadableSession, useSession } from '../session/session-context'
import { shownSession } from '../session/state'
import { GroupCard } from './group-card'
import { groupMessages, parallelNodes } from './grouping'
import { useHeldPlace } from './use-held-place'
import { useShownMessages } from './use-shown-messages'

/** A distance from the end below which the panel follows new messages. */
const followWithin = 48
/** Messages from which on they can be searched. */
const findFrom = 4
/** Space for the button above the first message, and for those below the last. */
const roomAbove = 36
const roomBelow = 76

/** The messages of the run, by node, live. */
export function MessagesPanel() {
  const t = useText()
  const messages = useShownMessages()
  const session = useReadableSession(shownSession)
  const graph = useSession((state) => state.graph)
  const lanes = useReadableSession((state) => state.lanes)
  const { messages: reader } = useOpenSession()
  const hasEarlier = useSession((state) => state.book.hasEarlier)
  const hasLater = useSession((state) => state.book.hasLater && state.replay === undefined)
  const isReading = useSession((state) => state.book.arriving !== undefined)
  const parallel = useMemo(() => parallelNodes(graph), [graph])
  const selected = useSelectedNode()
  const [only, setOnly] = useState<string>()
  const [text, setText] = useState('')
  const found = useMemo(() => {
    const wanted = text.trim().toLowerCase()
    if (wanted === '') return messages
    return messages.filter(({ content }) => content.toLowerCase().includes(wanted))
  }, [messages, text])
  const groups = useMemo(() => {
    const shown = only === undefined ? found : found.filter(({ nodeId }) => nodeId === only)
    return groupMessages(shown, { session, graph, lanes, parallel })
  }, [found, only, session, graph, lanes, parallel])

  const scroller = useRef<HTMLDivElement>(null)
  const isFollowing = useRef(true)
  const list = useVirtualizer({
    count: groups.length,
    getScrollElement: () => scroller.current,
    estimateSize: () => 96,
    getItemKey: (index) => groups[index]?.key ?? index,
    overscan: 6,
    paddingStart: hasEarlier ? roomAbove : 0,
    paddingEnd: hasLater ? roomBelow : 0,
  })
  const total = list.getTotalSize()
  const toEnd = useCallback(() => {
    const element = scroller.current
    if (element !== null) element.scrollTop = element.scrollHeight
  }, [])
  const place = useHeldPlace(scroller, list, groups, () => !isFollowing.current || hasLater)
  useLayoutEffect(() => {
    if (isFollowing.current && !hasLater) toEnd()
  }, [total, messages, hasLater, toEnd])
  useEffect(() => {
    const element = scroller.current
    if (element === null) return
    // A review that appears below takes space; the messages being read must stay visible.
    const observer = new ResizeObserver(() => {
      if (isFollowing.current) toEnd()
    })
    observer.observe(element)
    return () => observer.disconnect()
  }, [toEnd])
  const [isAway, setAway] = useState(false)
  // Called before the list handles the event, and measures and renders other groups.
  const onScroll = () => {
    const element = scroller.current
    if (element === null) return
    isFollowing.current = element.scrollHeight - element.scrollTop - element.clientHeight < followWithin
    setAway(!isFollowing.current)
    place.note()
  }
  // biome-ignore lint/correctness/useExhaustiveDependencies: only a new choice scrolls; new messages do not.
  useEffect(() => {
    if (selected === undefined || selectedFrom() === 'messages') return
    const index = groups.findLastIndex(({ nodeId }) => nodeId === selected)
    if (index < 0) return
    isFollowing.current = index === groups.length - 1
    list.scrollToIndex(index, { align: 'center' })
  }, [selected])

  const onlyName = only === undefined ? undefined : (session?.nodes[only]?.name ?? graph?.nodes[only]?.name ?? only)
  const selectedName =
    selected === undefined ? undefined : (session?.nodes[selected]?.name ?? graph?.nodes[selected]?.name ?? selected)
  return (
    <div className="messages-panel">
      {(messages.length >= findFrom || text !== '') && (
        <div className="messages-find">
          <input
            type="search"
            aria-label={t.findInMessages}
            placeholder={t.findInMessages}
            value={text}
            onChange={(event) => setText(event.target.value)}
          />
          <span className="faint num" role="status">
            {text.trim() === '' ? '' : t.foundMessages(found.length)}
          </span>
        </div>
      )}
      {(onlyName !== undefined || selectedName !== undefined) && (
        <div className="messages-filter">
          {onlyName !== undefined ? (
            <button type="button" className="pill on" onClick={() => setOnly(undefined)}>
              {t.only(onlyName)} ✕
            </button>
          ) : (
            selectedName !== undefined && (
              <button type="button" className="pill" onClick={() => setOnly(selected)}>
                {t.only(selectedName)}
              </button>
            )
          )}
        </div>
      )}
      <div
        ref={scroller}
        className="messages"
        onScrollCapture={onScroll}
        role="log"
        aria-label={t.messages}
        aria-live="off"
        tabIndex={0}
      >
        {groups.length === 0 && <p className="empty">{isReading || hasEarlier ? t.readingMessages : t.noMessages}</p>}
        <div className="virtual" style={{ height: total }}>
          {hasEarlier && groups.length > 0 && (
            <button
              type="button"
              className="pill beyond"
              aria-disabled={isReading}
              onClick={() => isReading || reader.readEarlier()}
            >
              ↑ {isReading ? t.readingMessages : t.earlierMessages}
            </button>
          )}
          {list.getVirtualItems().map(({ index, key, start }) => {
            const group = groups[index]
            if (group === undefined) return null
            return (
              <div
                key={key}
                ref={list.measureElement}
                data-index={index}
                className="virtual-row"
                style={{ transform: `translateY(${start}px)` }}
              >
                <GroupCard
                  group={group}
                  isSelected={group.nodeId === selected}
                  onSelect={() => selectNode(group.nodeId, 'messages')}
                />
              </div>
            )
          })}
          {hasLater && (
            <button
              type="button"
              className="pill beyond last"
              aria-disabled={isReading}
              onClick={() => isReading || reader.readLater()}
            >
              ↓ {isReading ? t.readingMessages : t.laterMessages}
            </button>
          )}
        </div>
      </div>
      {(isAway || hasLater) && (
        <button
          type="button"
          className="pill to-newest"
          onClick={() => {
            isFollowing.current = true
            setAway(false)
            if (hasLater) reader.readNewest()
            toEnd()
          }}
        >
          ↓ {t.newest}
        </button>
      )}
    </div>
  )
}
