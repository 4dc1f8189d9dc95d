import type { NodeProps } from '@xyflow/react'
import { memo } from 'react'

import { noFilters, plainView } from '../app/address'
import { linkTo } from '../app/place'
import { useText } from '../i18n/text'
import { sessionName } from '../sessions/session-name'
import { look } from '../status/status'
import { StatusIcon } from '../status/status-icon'
import { Said } from '../ui/said'
import type { RunNode } from './graph-nodes'

/** A run that a node has started: a link to its page. */
export const RunCard = memo(function RunCard({ data: { session } }: NodeProps<RunNode>) {
  const t = useText()
  const { id, status } = session
  return (
    <a
      className={`node-card run-card ${look(status)}`}
      {...linkTo({ page: 'session', sessionId: id, filters: noFilters, view: plainView })}
    >
      <span className="node-head">
        <StatusIcon status={status} />
        <span className="node-name">
          {sessionName(session) ?? t.unnamed(id)}
          <Said>{`, ${t.session}, ${t.status[status]}`}</Said>
        </span>
      </span>
      <span className="node-meta num" aria-hidden="true">
        <span className="node-type">{t.session}</span>
        <span>{t.status[status]}</span>
      </span>
    </a>
  )
})
