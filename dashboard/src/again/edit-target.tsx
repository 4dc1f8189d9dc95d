import type { WorkflowSession } from '@relive/types'
import { useMemo, useState } from 'react'

import { useText } from '../i18n/text'
import { useMoreText } from '../more/text'
import { nodeName } from '../node/instances'
import { useSession } from '../session/session-context'
import { keyOf, nodesWithOutputs, type Target } from './edits'
import type { Moment } from './moment'

const newKey = 'context '

interface TargetChoiceProps {
  moment: Moment
  target: Target | undefined
  onChoose(target: Target | undefined): void
}

/** Chooses what of the moment is changed: the proposal, a value of the context, or an output. */
export function TargetChoice({ moment: { session }, target, onChoose }: TargetChoiceProps) {
  const t = useText()
  const m = useMoreText()
  const graph = useSession((state) => state.graph)
  const [name, setName] = useState<string>()
  const targets = useMemo(() => {
    const context = Object.keys(session.contextData ?? {}).map((key): Target => ({ kind: 'context', key }))
    const outputs = nodesWithOutputs(session, graph).map((nodeId): Target => ({ kind: 'output', nodeId }))
    return { context, outputs }
  }, [session, graph])
  const all: readonly Target[] = [{ kind: 'proposal' }, ...targets.context, ...targets.outputs]
  const chosen = name !== undefined ? newKey : target === undefined ? '' : keyOf(target)
  const choose = (key: string) => {
    if (key === newKey) {
      setName('')
      return onChoose(undefined)
    }
    setName(undefined)
    onChoose(all.find((each) => keyOf(each) === key))
  }
  const isNew = target?.kind === 'context' && !all.some((each) => keyOf(each) === keyOf(target))
  return (
    <div className="edit-targets start-form">
      <label>
        {m.whatToEdit}
        <select value={isNew ? newKey : chosen} onChange={(event) => choose(event.target.value)}>
          <option value="" />
          <option value="proposal">{t.proposal}</option>
          <optgroup label={t.context}>
            {targets.context.map((each) => (
              <option key={keyOf(each)} value={keyOf(each)}>
                {each.kind === 'context' && each.key}
              </option>
            ))}
            <option value={newKey}>{m.newContextValue}</option>
          </optgroup>
          {targets.outputs.length > 0 && (
            <optgroup label={t.output}>
              {targets.outputs.map((each) => (
                <option key={keyOf(each)} value={keyOf(each)}>
                  {each.kind === 'output' && outputLabel(each.nodeId, session, graph, t.status)}
                </option>
              ))}
            </optgroup>
          )}
        </select>
      </label>
      {name !== undefined && (
        <label>
          {m.contextKey}
          <input
            className="mono"
            maxLength={200}
            spellCheck={false}
            value={name}
            onChange={(event) => {
              setName(event.target.value)
              const key = event.target.value.trim()
              onChoose(key === '' ? undefined : { kind: 'context', key })
            }}
          />
        </label>
      )}
    </div>
  )
}

function outputLabel(
  nodeId: string,
  session: WorkflowSession,
  graph: Parameters<typeof nodeName>[2],
  words: Readonly<Record<string, string>>,
): string {
  const status = session.nodes[nodeId]?.status ?? 'pending'
  const name = nodeName(nodeId, session, graph)
  return status === 'completed' ? name : `${name} (${words[status]})`
}
