import type { Log, LogLevel, LogPage } from '@relive/types'
import { useEffect, useRef, useState } from 'react'

import { get, query } from '../api/http'
import { useOpenSession, useReadableSession } from '../session/session-context'

/** Lines read at once, and kept at most: those before are read on demand. */
const pageSize = 500
const linesAtMost = 5000
/** Empty pages that are passed over in one go: a search says where to go on. */
const pagesAtOnce = 20
const waitMs = 700

export interface LogFilter {
  readonly level: LogLevel
  readonly nodeId: string | undefined
  readonly text: string
}

export interface ShownLogs {
  readonly lines: readonly Log[]
  /** Where earlier lines are. */
  readonly earlier: string | undefined
}

/** The newest log lines that fit, in the order of recording; newer ones are added as they come. */
export function useLogs({ level, nodeId, text }: LogFilter): [ShownLogs | undefined, () => void] {
  const { store } = useOpenSession()
  const id = store.latest.id
  const newest = useReadableSession((state) => state.live?.revision)
  const [shown, setShown] = useState<{ logs: ShownLogs; upTo: number }>()
  // biome-ignore lint/correctness/useExhaustiveDependencies: what is new is read by the other effect.
  useEffect(() => {
    const controller = new AbortController()
    setShown(undefined)
    const upTo = newest ?? 0
    read(id, { level, nodeId, text }, 'desc', undefined, controller.signal).then(
      ({ lines, next }) => setShown({ logs: { lines: lines.toReversed(), earlier: next }, upTo }),
      () => undefined,
    )
    return () => controller.abort()
  }, [id, level, nodeId, text])
  const latest = useRef(newest)
  latest.current = newest
  const isBehind = shown !== undefined && newest !== undefined && newest > shown.upTo
  useEffect(() => {
    if (shown === undefined || !isBehind) return
    const controller = new AbortController()
    // Not put off by what comes meanwhile: a busy run never rests.
    const timer = setTimeout(() => {
      const upTo = latest.current ?? 0
      read(id, { level, nodeId, text }, 'asc', String(shown.upTo), controller.signal).then(
        ({ lines }) =>
          setShown((held) => {
            if (held === undefined) return held
            const known = held.logs.lines.at(-1)?.revision ?? 0
            const more = lines.filter(({ revision, sessionId }) => sessionId !== id || revision > known)
            const last = lines.length >= pageSize ? (lines.at(-1)?.revision ?? upTo) : upTo
            const all = [...held.logs.lines, ...more].slice(-linesAtMost)
            return { logs: { ...held.logs, lines: all }, upTo: last }
          }),
        () => undefined,
      )
    }, waitMs)
    return () => {
      clearTimeout(timer)
      controller.abort()
    }
  }, [id, level, nodeId, text, isBehind, shown])
  const readEarlier = () => {
    const after = shown?.logs.earlier
    if (after === undefined) return
    read(id, { level, nodeId, text }, 'desc', after, undefined).then(
      ({ lines, next }) =>
        setShown((held) =>
          held === undefined || held.logs.earlier !== after
            ? held
            : { ...held, logs: { lines: [...lines.toReversed(), ...held.logs.lines], earlier: next } },
        ),
      () => undefined,
    )
  }
  return [shown?.logs, readEarlier]
}

async function read(
  id: string,
  { level, nodeId, text }: LogFilter,
  order: 'asc' | 'desc',
  from: string | undefined,
  signal: AbortSignal | undefined,
): Promise<{ lines: Log[]; next: string | undefined }> {
  const lines: Log[] = []
  let after = from
  for (let page = 0; page < pagesAtOnce; page += 1) {
    const asked = { order, limit: pageSize, after, nodeId, text, level: level === 'debug' ? undefined : level }
    const found = await get<LogPage>(`/sessions/${id}/logs${query(asked)}`, signal)
    lines.push(...found.logs)
    after = found.nextAfter
    if (after === undefined || lines.length >= pageSize) break
  }
  return { lines, next: after }
}
