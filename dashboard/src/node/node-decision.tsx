import { useEffect, useState } from 'react'

import { ago, millis } from '../format/time'
import { useText } from '../i18n/text'
import { decided } from '../journal/describe'
import { useMoment, useOpenSession, useSession } from '../session/session-context'
import { TickingText } from '../ui/ticking-text'
import { type Decision, findDecision } from './decision'

/** Who ended the last wait of a node, such as a review, before the moment that is looked at. */
export function NodeDecision({ nodeId }: { nodeId: string }) {
  const t = useText()
  const { store, player } = useOpenSession()
  const moment = useMoment()
  const lane = useSession((state) => state.lanes.get(nodeId))
  // Looked up again when the moment is moved over the end of another wait.
  useSession((state) => state.replay?.state?.revision)
  const now = moment()
  const waits = (lane?.bars ?? []).filter(
    ({ during, to }) => during === 'suspended' && to !== undefined && to <= now + 1,
  )
  const isShown = useSession(({ live, replay }) => live !== undefined || replay?.session !== undefined)
  const from = waits.at(-1)?.revision
  const end = waits.at(-1)?.to
  const [found, setFound] = useState<Decision>()
  useEffect(() => {
    setFound(undefined)
    if (end === undefined || !isShown) return
    const controller = new AbortController()
    const { id, live, replay } = store.shown()
    const to = replay?.session?.revision ?? live?.revision
    if (to === undefined) return
    findDecision(id, nodeId, { from, to }, controller.signal).then(
      (decision) => {
        if (!controller.signal.aborted) setFound(decision)
      },
      // A lost connection is told elsewhere.
      () => undefined,
    )
    return () => controller.abort()
  }, [store, nodeId, from, end, isShown])
  if (found === undefined) return null
  const { decision, by, at, revision } = found
  const said = decision === undefined ? t.answered : decided(decision, t)
  return (
    <div>
      <dt>{t.decided}</dt>
      <dd>
        <button type="button" className="link" onClick={() => player.seek({ revision })}>
          {t.decidedBy(said, by)}
        </button>{' '}
        <span className="faint">
          <TickingText text={() => ago(Date.now() - millis(at), t.locale)} />
        </span>
      </dd>
    </div>
  )
}
