import type { GraphDefinition, WorkflowSession } from '@relive/types'
import { useEffect, useState } from 'react'

import { GraphView } from '../graph/graph-view'
import { type OpenSession, SessionContext } from '../session/session-context'
import { initialState } from '../session/state'
import { FrameStore } from '../store/frame-store'

interface GraphPreviewProps {
  graph: GraphDefinition
  /** The statuses to draw it with. */
  session?: WorkflowSession | undefined
}

/** A graph that no run is shown of, drawn as those of runs. */
export function GraphPreview({ graph, session }: GraphPreviewProps) {
  const [open] = useState(() => {
    const store = new FrameStore({ ...initialState('preview'), graph, live: session })
    // The drawing reads the state, and nothing else: there is nothing to replay, and there are no messages.
    return { store } as unknown as OpenSession
  })
  useEffect(() => {
    open.store.update({ graph, live: session })
    open.store.flush()
  }, [open, graph, session])
  return (
    <SessionContext value={open}>
      <div className="graph-preview">
        <GraphView />
      </div>
    </SessionContext>
  )
}
