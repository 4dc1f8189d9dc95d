import type { GraphNode, NodeStateSnapshot } from '@relive/types'
import { useMemo } from 'react'
import { useMay } from '../access/me'
import { EditForkButton } from '../again/edit-fork-on-demand'
import { ValueView } from '../context/value-view'
import { cost, count } from '../format/number'
import { duration, millis, position } from '../format/time'
import { useText } from '../i18n/text'
import { selectNode, useSelectedNode } from '../session/selection'
import { useMoment, useOpenSession, useReadableSession, useSession } from '../session/session-context'
import { SignalForm } from '../session/signal-form'
import { shownSession } from '../session/state'
import { StatusIcon } from '../status/status-icon'
import { TickingText } from '../ui/ticking-text'
import { instanceOf, instancesOf, nodeName } from './instances'
import { NodeDecision } from './node-decision'
import { NodeHistory } from './node-history'
import { useNodeValues } from './use-values'

export function NodePanel() {
  const t = useText()
  const nodeId = useSelectedNode()
  const node = useSession((state) => (nodeId === undefined ? undefined : shownSession(state)?.nodes[nodeId]))
  const planned = useSession((state) => {
    if (nodeId === undefined) return undefined
    return state.graph?.nodes[instanceOf(nodeId, state.graph)?.of ?? nodeId]
  })
  if (nodeId === undefined) return <p className="empty">{t.chooseNode}</p>
  if (node === undefined && planned === undefined) return <p className="empty">{t.unknownNode}</p>
  return <NodeDetails key={nodeId} nodeId={nodeId} node={node} planned={planned} />
}

interface NodeDetailsProps {
  nodeId: string
  node: NodeStateSnapshot | undefined
  planned: GraphNode | undefined
}

function NodeDetails({ nodeId, node, planned }: NodeDetailsProps) {
  const t = useText()
  const status = node?.status ?? 'pending'
  const isLive = useSession((state) => state.replay === undefined)
  const runStatus = useSession((state) => state.live?.status)
  const name = useSession((state) => nodeName(nodeId, shownSession(state), state.graph))
  const { input, output } = useNodeValues(nodeId)
  const maySignal = useMay('review', useOpenSession().store.latest.id)
  const takesSignals =
    maySignal &&
    isLive &&
    (status === 'running' || status === 'suspended') &&
    (runStatus === 'running' || runStatus === 'paused')
  return (
    <div className="node-panel scroll" tabIndex={0} role="region" aria-label={name}>
      <div className="node-title">
        <h2>{name}</h2>
        <span className={`chip ${status}`}>
          <StatusIcon status={status} />
          {t.status[status]}
        </span>
      </div>
      <Facts nodeId={nodeId} node={node} planned={planned} />
      {node?.error !== undefined && (
        <section>
          <h3>{t.error}</h3>
          <pre className="error-text">{node.error}</pre>
        </section>
      )}
      {takesSignals && (
        <section>
          <h3>{t.signal}</h3>
          <SignalForm nodeId={nodeId} />
        </section>
      )}
      {node?.attributes !== undefined && (
        <section>
          <h3>{t.attributes}</h3>
          <ValueView value={node.attributes} />
        </section>
      )}
      {input !== undefined && (
        <section>
          <h3>{t.input}</h3>
          <ValueView value={input} />
        </section>
      )}
      <section>
        <h3>{t.output}</h3>
        {output !== undefined && <EditForkButton first={{ kind: 'output', nodeId }} />}
        {output === undefined ? <p className="faint">{t.noOutput}</p> : <ValueView value={output} />}
      </section>
      <section>
        <h3>{t.history}</h3>
        <NodeHistory nodeId={nodeId} />
      </section>
      {planned?.properties !== undefined && Object.keys(planned.properties).length > 0 && (
        <section>
          <h3>{t.settings}</h3>
          <ValueView value={planned.properties} />
        </section>
      )}
      <Instances nodeId={nodeId} />
      <Inside nodeId={nodeId} />
      <Neighbours nodeId={nodeId} />
    </div>
  )
}

function Facts({ nodeId, node, planned }: NodeDetailsProps) {
  const t = useText()
  const moment = useMoment()
  const start = useSession((state) => state.live?.startedAt ?? state.live?.createdAt)
  const usage = useSession((state) => state.usage?.byNode[nodeId])
  const from = millis(node?.startedAt)
  const to = millis(node?.completedAt)
  const type = node?.type ?? planned?.type
  return (
    <dl className="facts num">
      {type !== undefined && <Fact name={t.type}>{type}</Fact>}
      {node?.kind !== undefined && <Fact name={t.kind}>{node.kind}</Fact>}
      {(node?.attempt ?? 1) > 1 && <Fact name={t.attempts}>{node?.attempt}</Fact>}
      {from !== undefined && start !== undefined && <Fact name={t.started}>{position(from - millis(start))}</Fact>}
      {from !== undefined && node?.status !== 'pending' && (
        <Fact name={t.took}>
          <TickingText text={() => duration((to ?? moment()) - from)} />
        </Fact>
      )}
      {node?.status === 'running' && node.progress !== undefined && (
        <Fact name={t.progress}>{Math.round(node.progress * 100)} %</Fact>
      )}
      {node?.tokenUsage !== undefined && (
        <>
          <Fact name={t.inputTokens}>{count(node.tokenUsage.inputTokens)}</Fact>
          <Fact name={t.outputTokens}>{count(node.tokenUsage.outputTokens)}</Fact>
        </>
      )}
      {usage?.costUsd !== undefined && usage.costUsd > 0 && <Fact name={t.cost}>{cost(usage.costUsd)}</Fact>}
      <NodeDecision nodeId={nodeId} />
    </dl>
  )
}

function Fact({ name, children }: { name: string; children: React.ReactNode }) {
  return (
    <div>
      <dt>{name}</dt>
      <dd>{children}</dd>
    </div>
  )
}

/** Instances that are listed; a map can have thousands. */
const instancesAtMost = 200

/** The instances of a node, each a row of its own; for an instance, the node that it is one of. */
function Instances({ nodeId }: { nodeId: string }) {
  const t = useText()
  const moment = useMoment()
  const graph = useSession((state) => state.graph)
  const session = useSession(shownSession)
  const of = useMemo(() => instanceOf(nodeId, graph)?.of, [nodeId, graph])
  const ids = useMemo(() => instancesOf(nodeId, session, graph), [nodeId, session, graph])
  if (of !== undefined) {
    return (
      <section>
        <h3>{t.instanceOf}</h3>
        <button type="button" className="pill" onClick={() => selectNode(of, 'panel')}>
          <StatusIcon status={session?.nodes[of]?.status ?? 'pending'} />
          {nodeName(of, session, graph)}
        </button>
      </section>
    )
  }
  if (ids.length === 0) return null
  return (
    <section>
      <h3>
        {t.instances} <span className="faint num">{ids.length}</span>
      </h3>
      <ol className="history instances num">
        {ids.slice(0, instancesAtMost).map((id) => {
          const node = session?.nodes[id]
          const from = millis(node?.startedAt)
          const to = millis(node?.completedAt)
          return (
            <li key={id}>
              <button type="button" onClick={() => selectNode(id, 'panel')}>
                <StatusIcon status={node?.status ?? 'pending'} />
                <span>{nodeName(id, session, graph)}</span>
                <span className="faint">{(node?.attempt ?? 1) > 1 ? `×${node?.attempt}` : ''}</span>
                <span className="faint">{node?.error}</span>
                <span>{from !== undefined && <TickingText text={() => duration((to ?? moment()) - from)} />}</span>
              </button>
            </li>
          )
        })}
      </ol>
    </section>
  )
}

/** Steps that are shown of one node. */
const stepsAtMost = 100

/** The node that this one is a step of, and its own steps. */
function Inside({ nodeId }: { nodeId: string }) {
  const t = useText()
  const nodes = useReadableSession(shownSession)?.nodes
  const { parent, steps, more } = useMemo(() => {
    const parentId = nodes?.[nodeId]?.parentNodeId
    const all = Object.values(nodes ?? {}).filter(({ parentNodeId }) => parentNodeId === nodeId)
    const parent = parentId === undefined ? undefined : nodes?.[parentId]
    return { parent, steps: all.slice(0, stepsAtMost), more: all.length - stepsAtMost }
  }, [nodes, nodeId])
  return (
    <>
      {parent !== undefined && <NodeLinks title={t.insideOf} nodes={[parent]} />}
      {steps.length > 0 && <NodeLinks title={t.steps} nodes={steps} />}
      {more > 0 && <p className="faint">{t.moreSteps(more)}</p>}
    </>
  )
}

function NodeLinks({ title, nodes }: { title: string; nodes: readonly NodeStateSnapshot[] }) {
  return (
    <section>
      <h3>{title}</h3>
      <ul className="neighbours">
        {nodes.map(({ id, name, status }) => (
          <li key={id}>
            <button type="button" className="pill" onClick={() => selectNode(id, 'panel')}>
              <StatusIcon status={status} />
              {name ?? id}
            </button>
          </li>
        ))}
      </ul>
    </section>
  )
}

function Neighbours({ nodeId }: { nodeId: string }) {
  const t = useText()
  const graph = useSession((state) => state.graph)
  const session = useSession(shownSession)
  const { before, after } = useMemo(() => {
    const nodes = Object.values(graph?.nodes ?? {})
    return {
      before: nodes.filter(({ nextIds }) => nextIds?.includes(nodeId)),
      after: (graph?.nodes[nodeId]?.nextIds ?? []).flatMap((id) => graph?.nodes[id] ?? []),
    }
  }, [graph, nodeId])
  const list = (title: string, nodes: readonly GraphNode[]) =>
    nodes.length > 0 && (
      <section>
        <h3>{title}</h3>
        <ul className="neighbours">
          {nodes.map(({ id, name }) => (
            <li key={id}>
              <button type="button" className="pill" onClick={() => selectNode(id, 'panel')}>
                <StatusIcon status={session?.nodes[id]?.status ?? 'pending'} />
                {name}
              </button>
            </li>
          ))}
        </ul>
      </section>
    )
  return (
    <>
      {list(t.follows, before)}
      {list(t.leadsTo, after)}
    </>
  )
}
