import type { Log, LogLevel } from '@relive/types'
import { useVirtualizer } from '@tanstack/react-virtual'
import { memo, useLayoutEffect, useMemo, useRef, useState } from 'react'

import { readable } from '../context/value-view'
import { millis, position } from '../format/time'
import { useText } from '../i18n/text'
import { nodeName } from '../node/instances'
import { selectNode, useSelectedNode } from '../session/selection'
import { useReadableSession, useSession } from '../session/session-context'
import { shownSession } from '../session/state'
import { useLogs } from './use-logs'

const levels: readonly LogLevel[] = ['debug', 'info', 'warn', 'error']
/** Nearer to the end than this counts as reading along. */
const followWithin = 48

/** The log lines of all nodes, or of the chosen one. */
export function LogsPanel() {
  const t = useText()
  const selected = useSelectedNode()
  const [level, setLevel] = useState<LogLevel>('debug')
  const [isOnly, setOnly] = useState(false)
  const [text, setText] = useState('')
  const nodeId = isOnly ? selected : undefined
  const [logs, readEarlier] = useLogs({ level, nodeId, text })
  const session = useReadableSession(shownSession)
  const graph = useSession((state) => state.graph)
  const isReplay = useSession((state) => state.replay !== undefined)
  const start = useSession((state) => state.live?.startedAt ?? state.live?.createdAt)
  const revision = session?.revision
  const lines = useMemo(() => {
    const all = logs?.lines ?? []
    if (!isReplay || revision === undefined) return all
    return all.filter((log) => log.sessionId !== session?.id || log.revision <= revision)
  }, [logs, isReplay, revision, session?.id])
  const scroller = useRef<HTMLDivElement>(null)
  const isFollowing = useRef(true)
  const list = useVirtualizer({
    count: lines.length,
    getScrollElement: () => scroller.current,
    estimateSize: () => 24,
    getItemKey: (index) => `${lines[index]?.sessionId} ${lines[index]?.revision}`,
    overscan: 12,
  })
  const total = list.getTotalSize()
  useLayoutEffect(() => {
    const element = scroller.current
    if (element !== null && isFollowing.current) element.scrollTop = element.scrollHeight
  }, [total])
  return (
    <div className="logs-panel">
      <div className="logs-filter">
        <select value={level} aria-label={t.level} onChange={(event) => setLevel(event.target.value as LogLevel)}>
          {levels.map((each) => (
            <option key={each} value={each}>
              {each === 'debug' ? t.allLevels : t.levelAndAbove(each)}
            </option>
          ))}
        </select>
        <input
          type="search"
          value={text}
          maxLength={200}
          placeholder={t.findInLogs}
          aria-label={t.findInLogs}
          onChange={(event) => setText(event.target.value)}
        />
        {selected !== undefined && (
          <button type="button" className={`pill${isOnly ? ' on' : ''}`} onClick={() => setOnly(!isOnly)}>
            {t.only(nodeName(selected, session, graph))}
            {isOnly && ' ✕'}
          </button>
        )}
      </div>
      <div
        ref={scroller}
        className="logs scroll"
        role="log"
        aria-label={t.logs}
        aria-live="off"
        tabIndex={0}
        onScroll={({ currentTarget }) => {
          const { scrollHeight, scrollTop, clientHeight } = currentTarget
          isFollowing.current = scrollHeight - scrollTop - clientHeight < followWithin
        }}
      >
        {logs?.earlier !== undefined && (
          <button type="button" className="pill" onClick={readEarlier}>
            ↑ {t.earlierLogs}
          </button>
        )}
        {lines.length === 0 && <p className="empty">{logs === undefined ? t.loading : t.noLogs}</p>}
        <div className="virtual" style={{ height: total }}>
          {list.getVirtualItems().map(({ index, key, start: top }) => {
            const log = lines[index]
            if (log === undefined) return null
            return (
              <div
                key={key}
                ref={list.measureElement}
                data-index={index}
                className="virtual-row"
                style={{ transform: `translateY(${top}px)` }}
              >
                <LogLine log={log} name={nodeName(log.nodeId, session, graph)} start={start} />
              </div>
            )
          })}
        </div>
      </div>
    </div>
  )
}

const LogLine = memo(function LogLine({ log, name, start }: { log: Log; name: string; start: string | undefined }) {
  const attributes = log.attributes ?? {}
  return (
    <div className={`log-line ${log.level}`}>
      <time className="faint num" dateTime={log.at} title={log.at}>
        {start === undefined ? '' : position(millis(log.at) - millis(start))}
      </time>
      <span className="log-level">{log.level}</span>
      <button type="button" className="log-node" title={name} onClick={() => selectNode(log.nodeId, 'panel')}>
        {name}
      </button>
      <span className="log-text" dir="auto">
        {log.text}
        {Object.keys(attributes).length > 0 && (
          <span className="faint"> {readable(attributes).replaceAll('\n', ' · ')}</span>
        )}
      </span>
    </div>
  )
})
