import type { NodeProps } from '@xyflow/react'
import { memo } from 'react'

import { useText } from '../i18n/text'
import { nodeName } from '../node/instances'
import { useSelectedNode } from '../session/selection'
import { useSession } from '../session/session-context'
import { shownSession } from '../session/state'
import { nodeStatuses } from '../status/status'
import { StatusIcon } from '../status/status-icon'
import { Said } from '../ui/said'
import { countsKey, readCounts, statusOfCounts } from './fold-status'
import type { FoldNode } from './graph-nodes'

/** A folded region: its number of nodes and their statuses. */
export const FoldCard = memo(function FoldCard({ data }: NodeProps<FoldNode>) {
  const t = useText()
  const { region, unfold } = data
  // A text, so that it compares equal while nothing has changed.
  const key = useSession((state) => countsKey(region.members, shownSession(state)))
  const counts = readCounts(key)
  const selected = useSelectedNode()
  const holdsSelected = selected !== undefined && region.members.has(selected)
  const status = statusOfCounts(counts)
  const all = region.members.size
  const owner = useSession((state) => nodeName(region.ownerId, shownSession(state), state.graph))
  const kind = region.kind === 'loop' ? t.foldedLoop : t.foldedParallel
  const words = nodeStatuses.filter((each) => counts[each] > 0).map((each) => `${counts[each]} ${t.status[each]}`)
  return (
    <button
      type="button"
      className={`node-card fold-card ${status}${holdsSelected ? ' selected' : ''}`}
      title={`${words.join(' · ')}\n${t.unfold(all)}`}
      onMouseDown={(event) => event.preventDefault()}
      onClick={() => unfold(region.id)}
    >
      <span className="node-head">
        <StatusIcon status={status} />
        <span className="node-name">
          {`${kind}: ${owner}`}
          <Said>{`: ${words.join(', ')}. ${t.unfold(all)}`}</Said>
        </span>
        <span className="node-attempt num" aria-hidden="true">
          +{all}
        </span>
      </span>
      <span className="node-meta num" aria-hidden="true">
        <span className="node-type">{words.slice(0, 2).join(' · ')}</span>
      </span>
      <span className="fold-strip" aria-hidden="true">
        {nodeStatuses.map(
          (each) => counts[each] > 0 && <i key={each} className={each} style={{ flexGrow: counts[each] }} />,
        )}
      </span>
    </button>
  )
})
