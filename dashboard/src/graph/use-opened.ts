import type { SessionSummary } from '@relive/types'
import { useCallback, useMemo, useState } from 'react'

import { useReadableSession } from '../session/session-context'
import { shownSession } from '../session/state'
import type { VisibleGraph } from './fold'
import { type Entry, entriesOf, stepsInside } from './inside'
import { useSubRuns } from './use-sub-runs'

/** The nodes that are opened, and what is inside of them. */
export function useOpened(visible: VisibleGraph | undefined) {
  const runsByNode = useSubRuns()
  const [opened, setOpened] = useState<ReadonlySet<string>>(new Set())
  const drawn = useMemo(() => new Set(visible?.items.map(({ id }) => id)), [visible])
  // Texts, so that a change of statuses is none of what there is.
  const steps = useReadableSession((state) =>
    JSON.stringify([...opened].map((id) => [id, stepsInside(id, shownSession(state))])),
  )
  const runIds = JSON.stringify([...runsByNode].map(([id, runs]) => [id, runs.map((run) => run.id)]))
  const inside = useMemo((): ReadonlyMap<string, readonly Entry[]> => {
    const all = JSON.parse(steps) as [string, string[]][]
    const open = all.filter(([id]) => drawn.has(id))
    const started = new Map(JSON.parse(runIds) as [string, string[]][])
    const entries = open.map(([id, own]) => {
      // A run without a graph shows its steps beside their node already.
      const hidden = own.filter((step) => !drawn.has(step))
      return [id, entriesOf(hidden, started.get(id) ?? [])] as const
    })
    return new Map(entries.filter(([, each]) => each.length > 0))
  }, [steps, drawn, runIds])
  const runs = useMemo(
    () => new Map([...runsByNode.values()].flat().map((run: SessionSummary) => [run.id, run] as const)),
    [runsByNode],
  )
  const toggle = useCallback(
    (nodeId: string) =>
      setOpened((before) => {
        const next = new Set(before)
        if (!next.delete(nodeId)) next.add(nodeId)
        return next
      }),
    [],
  )
  const value = useMemo(() => ({ opened, runs: runsByNode, drawn, toggle }), [opened, runsByNode, drawn, toggle])
  return { inside, runs, value }
}
