import type { NodeStateSnapshot } from '@relive/types'
import type { NodeProps } from '@xyflow/react'
import { memo, useContext } from 'react'

import { duration, millis } from '../format/time'
import type { Text } from '../i18n/en'
import { useText } from '../i18n/text'
import { selectNode, useIsSelected } from '../session/selection'
import { useMoment, useSession } from '../session/session-context'
import { shownSession } from '../session/state'
import { StatusIcon } from '../status/status-icon'
import { Said } from '../ui/said'
import { TickingText } from '../ui/ticking-text'
import { InsideContext, stepsInside } from './inside'

/** One node; rendered again only when the node itself has changed. */
export const NodeCard = memo(function NodeCard({ id }: NodeProps) {
  const t = useText()
  const node = useSession((state) => shownSession(state)?.nodes[id])
  const planned = useSession((state) => state.graph?.nodes[id])
  const isSelected = useIsSelected(id)
  const status = node?.status ?? 'pending'
  const name = node?.name ?? planned?.name ?? id
  const type = node?.type ?? planned?.type ?? ''
  const attempt = node?.attempt ?? 1
  const words = [t.status[status], attempt > 1 ? t.attempt(attempt) : '', node?.error ?? ''].filter(Boolean)
  return (
    <>
      <button
        type="button"
        className={`node-card ${status}${isSelected ? ' selected' : ''}`}
        aria-pressed={isSelected}
        title={node?.error}
        onMouseDown={(event) => event.preventDefault()}
        onClick={() => selectNode(id, 'graph')}
      >
        <span className="node-head">
          <StatusIcon status={status} />
          <span className="node-name">
            {name}
            <Said>{words.map((word) => `, ${word}`).join('')}</Said>
          </span>
          {attempt > 1 && (
            <span className="node-attempt num" aria-hidden="true">
              ×{attempt}
            </span>
          )}
        </span>
        <span className="node-meta num" aria-hidden="true">
          <span className="node-type">{type === '' || type === name ? t.status[status] : type}</span>
          {node !== undefined && <Took node={node} t={t} />}
        </span>
        {status === 'running' && (
          <span className={`node-progress${node?.progress === undefined ? ' unknown' : ''}`}>
            <i style={node?.progress === undefined ? undefined : { transform: `scaleX(${node.progress})` }} />
          </span>
        )}
      </button>
      <OpenButton id={id} name={name} />
    </>
  )
})

/** Opens a node that has steps of its own, or has started runs. */
function OpenButton({ id, name }: { id: string; name: string }) {
  const t = useText()
  const inside = useContext(InsideContext)
  const steps = useSession((state) =>
    inside === undefined || !inside.drawn.has(id)
      ? 0
      : stepsInside(id, shownSession(state)).filter((step) => !inside.drawn.has(step)).length,
  )
  const count = steps + (inside?.drawn.has(id) === true ? (inside.runs.get(id)?.length ?? 0) : 0)
  if (inside === undefined || count === 0) return null
  const isOpen = inside.opened.has(id)
  return (
    <button
      type="button"
      className="node-open num"
      aria-expanded={isOpen}
      aria-label={t.openNode(count, name)}
      title={t.openNode(count, name)}
      onClick={() => inside.toggle(id)}
    >
      {isOpen ? '−' : `+${count}`}
    </button>
  )
}

function Took({ node, t }: { node: NodeStateSnapshot; t: Text }) {
  const moment = useMoment()
  const { status, startedAt, completedAt } = node
  if (status === 'suspended') return <span className="node-waiting">{t.waiting}</span>
  if (status === 'skipped') return <span>{t.status.skipped}</span>
  if (startedAt === undefined || status === 'pending') return null
  const from = millis(startedAt)
  if (completedAt !== undefined) return <span>{duration(millis(completedAt) - from)}</span>
  return <TickingText text={() => duration(moment() - from)} />
}
