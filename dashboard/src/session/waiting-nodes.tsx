import { useState } from 'react'

import { useMay } from '../access/me'
import { useText } from '../i18n/text'
import { ReviewCard } from './review-card'
import { useOpenSession, useSession } from './session-context'
import { SignalCard } from './signal-form'

/** The waiting nodes, one at a time; only of the run as it is now. */
export function WaitingNodes() {
  const t = useText()
  const { store } = useOpenSession()
  const mayReview = useMay('review', store.latest.id)
  const isReplay = useSession((state) => state.replay !== undefined)
  // A text: equal as long as the same nodes wait.
  const key = useSession(({ live }) => {
    if (live === undefined || (live.status !== 'running' && live.status !== 'paused')) return ''
    return live.activeNodeIds.filter((id) => live.nodes[id]?.status === 'suspended').join('\u0000')
  })
  const [chosen, setChosen] = useState<string>()
  if (!mayReview || isReplay || key === '') return null
  const waiting = key.split('\u0000')
  const at = Math.max(0, waiting.indexOf(chosen ?? ''))
  const nodeId = waiting[at] ?? ''
  return (
    <div className="waiting">
      {waiting.length > 1 && (
        <p className="waiting-count num">
          {t.waitingCount(at + 1, waiting.length)}
          <button type="button" className="quiet" onClick={() => setChosen(waiting[(at + 1) % waiting.length])}>
            {t.next}
          </button>
        </p>
      )}
      <WaitingNode key={nodeId} nodeId={nodeId} />
    </div>
  )
}

function WaitingNode({ nodeId }: { nodeId: string }) {
  const type = useSession((state) => state.live?.nodes[nodeId]?.type ?? state.graph?.nodes[nodeId]?.type)
  return type === undefined || type === 'human_review' ? <ReviewCard nodeId={nodeId} /> : <SignalCard nodeId={nodeId} />
}
