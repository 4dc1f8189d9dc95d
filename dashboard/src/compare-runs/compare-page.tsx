import type {
  ComparedNode,
  GraphDefinition,
  NodeDetail,
  RunComparison,
  SessionPage,
  SessionSummary,
  WorkflowSession,
} from '@relive/types'
import { type ReactNode, useMemo, useState } from 'react'

import { query } from '../api/http'
import { noFilters, plainView } from '../app/address'
import type { PageOptions } from '../app/more-address'
import { adjustOptions, linkTo } from '../app/place'
import { GraphPreview } from '../catalog/graph-preview'
import { ValueView } from '../context/value-view'
import { cost, count } from '../format/number'
import { duration, moment } from '../format/time'
import { useText } from '../i18n/text'
import { PageFrame } from '../more/page-frame'
import { useMoreText } from '../more/text'
import { useRead } from '../more/use-read'
import { sessionName } from '../sessions/session-name'
import { StatusIcon } from '../status/status-icon'
import { type ComparedRow, mergedGraph, mergedSession, rowsOf } from './differences'

const idPattern = /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/i
/** Runs that are offered as the other one. */
const offeredAtMost = 100

/** Two runs beside each other, node by node. */
export function ComparePage({ options }: { options: PageOptions }) {
  const m = useMoreText()
  const [a, b] = [options['a'] ?? '', options['b'] ?? '']
  const isA = idPattern.test(a)
  const first = useRead<WorkflowSession>(isA ? `/sessions/${a}` : undefined)
  return (
    <PageFrame title={m.compareRuns} error={first.error ?? (isA ? undefined : m.noSessionId)}>
      {first.value !== undefined && !idPattern.test(b) && <Other first={first.value} />}
      {first.value !== undefined && idPattern.test(b) && <Both key={`${a} ${b}`} a={first.value} id={b} />}
    </PageFrame>
  )
}

/** The choice of the run to compare with: those of the same workflow first, or else the newest. */
function Other({ first }: { first: WorkflowSession }) {
  const t = useText()
  const m = useMoreText()
  const [text, setText] = useState('')
  const search = text.trim()
  const asked = query({
    ...(search === '' && first.workflowId !== undefined && { workflowId: first.workflowId }),
    ...(search !== '' && { text: search.slice(0, 200) }),
    limit: offeredAtMost,
  })
  const { value, error } = useRead<SessionPage>(`/sessions${asked}`, { keep: true })
  const offered = value?.sessions.filter(({ id }) => id !== first.id) ?? []
  return (
    <div className="more-body scroll" tabIndex={0} role="region" aria-label={m.compareRuns}>
      <p>
        {m.compareWhat} <b>{first.name || t.unnamed(first.id)}</b>
      </p>
      <input
        type="search"
        className="find-run"
        aria-label={t.filterText}
        placeholder={t.filterText}
        maxLength={200}
        value={text}
        onChange={(event) => setText(event.target.value)}
      />
      {error !== undefined && <p className="error-line">{error}</p>}
      <ul className="card run-choice" aria-label={t.sessions}>
        {offered.map((session) => (
          <Offered key={session.id} session={session} />
        ))}
        {value !== undefined && offered.length === 0 && <li className="empty">{t.noMatches}</li>}
      </ul>
    </div>
  )
}

function Offered({ session }: { session: SessionSummary }) {
  const t = useText()
  return (
    <li>
      <button type="button" className="two-row" onClick={() => adjustOptions({ b: session.id })}>
        <b>
          <StatusIcon status={session.status} /> {sessionName(session) ?? t.unnamed(session.id)}
        </b>
        <span className="dim small num">
          {t.status[session.status]} · {moment(session.createdAt, Date.now(), t.locale)} · …{session.id.slice(-6)}
        </span>
      </button>
    </li>
  )
}

function Both({ a, id }: { a: WorkflowSession; id: string }) {
  const t = useText()
  const m = useMoreText()
  const second = useRead<WorkflowSession>(`/sessions/${id}`)
  const comparison = useRead<RunComparison>(`/sessions/${a.id}/diff?with=${id}`)
  const graphA = useRead<GraphDefinition | null>(`/sessions/${a.id}/graph`)
  const graphB = useRead<GraphDefinition | null>(`/sessions/${id}/graph`)
  const [onlyDiffering, setOnlyDiffering] = useState(false)
  const b = second.value
  // A run without a graph is answered with an error.
  const one = graphA.value ?? (graphA.error === undefined ? undefined : null)
  const other = graphB.value ?? (graphB.error === undefined ? undefined : null)
  const graph = useMemo(
    () => (one === undefined || other === undefined ? undefined : (mergedGraph(one, other) ?? null)),
    [one, other],
  )
  const rows = useMemo(() => {
    if (comparison.value === undefined || b === undefined || graph === undefined) return undefined
    return rowsOf(comparison.value, a.nodes, b.nodes, (nodeId) => graph?.nodes[nodeId]?.name ?? nodeId)
  }, [comparison.value, a, b, graph])
  const error = comparison.error ?? second.error
  if (error !== undefined) return <p className="error-line">{error}</p>
  if (comparison.value === undefined || b === undefined || rows === undefined)
    return <p className="faint">{t.loading}</p>
  const differing = rows.filter(({ differences }) => differences.length > 0)
  const shown = onlyDiffering ? differing : rows
  return (
    <div className="more-body scroll" tabIndex={0} role="region" aria-label={m.compareRuns}>
      <Heads a={a} b={b} comparison={comparison.value} />
      {graph != null && <Merged graph={graph} a={a} b={b} rows={rows} />}
      <div className="card-head plain-head">
        <h2>{m.differingNodes(differing.length, rows.length)}</h2>
        <label className="check-line">
          <input type="checkbox" checked={onlyDiffering} onChange={(event) => setOnlyDiffering(event.target.checked)} />
          {m.onlyDiffering}
        </label>
      </div>
      <div className="card scroll" tabIndex={0} role="region" aria-label={m.tableOf(t.node)}>
        <table className="plain num compare-table">
          <thead>
            <tr>
              <th scope="col">{t.node}</th>
              <th scope="col">A</th>
              <th scope="col">B</th>
              <th scope="col">{m.differs}</th>
              <th scope="col">
                <span className="visually-hidden">{m.actions}</span>
              </th>
            </tr>
          </thead>
          <tbody>
            {shown.map((row) => (
              <Row key={row.id} row={row} a={a.id} b={b.id} />
            ))}
          </tbody>
        </table>
        {shown.length === 0 && <p className="empty">{m.noDifference}</p>}
      </div>
    </div>
  )
}

/** The two runs in all: which they are, and what they took. */
function Heads({ a, b, comparison }: { a: WorkflowSession; b: WorkflowSession; comparison: RunComparison }) {
  const t = useText()
  const m = useMoreText()
  const sides = [
    { letter: 'A', session: a, figures: comparison.from, other: undefined },
    { letter: 'B', session: b, figures: comparison.to, other: comparison.from },
  ] as const
  return (
    <div className="heads num">
      {sides.map(({ letter, session, figures, other }) => (
        <section key={letter} className="card head" aria-label={letter}>
          <h2>
            <span className="side-letter">{letter}</span>
            <a
              className="figure-link"
              {...linkTo({ page: 'session', sessionId: session.id, filters: noFilters, view: plainView })}
            >
              {session.name || t.unnamed(session.id)}
            </a>
          </h2>
          <p className="dim small">
            {moment(session.createdAt, Date.now(), t.locale)} · …{session.id.slice(-6)}
            {session.parentId !== undefined && ` · ${t.forkedFrom(session.forkedFromRevision ?? 0)}`}
          </p>
          <dl className="facts">
            <div>
              <dt>{t.columns.status}</dt>
              <dd className={`status-word ${figures.status}`}>{t.status[figures.status]}</dd>
            </div>
            <Amount name={t.columns.duration} value={figures.durationMs} other={other?.durationMs} format={duration} />
            <Amount name={t.columns.tokens} value={figures.totalTokens} other={other?.totalTokens} format={count} />
            <Amount name={t.columns.cost} value={figures.totalCostUsd} other={other?.totalCostUsd} format={cost} />
          </dl>
          {session.error !== undefined && <p className="bad small error-pattern">{session.error}</p>}
        </section>
      ))}
      <div className="buttons">
        <button type="button" onClick={() => adjustOptions({ a: b.id, b: a.id })}>
          {m.swapRuns}
        </button>
        <button type="button" onClick={() => adjustOptions({ b: '' })}>
          {m.otherRun}
        </button>
      </div>
    </div>
  )
}

interface AmountProps {
  name: string
  value: number | undefined
  other: number | undefined
  format: (value: number) => string
}

function Amount({ name, value, other, format }: AmountProps) {
  return (
    <div>
      <dt>{name}</dt>
      <dd>
        {value === undefined ? '–' : format(value)}
        {value !== undefined && other !== undefined && value !== other && (
          <span className="dim"> ({signed(value - other, format)})</span>
        )}
      </dd>
    </div>
  )
}

function signed(value: number, format: (value: number) => string): string {
  return `${value < 0 ? '−' : '+'}${format(Math.abs(value))}`
}

/** Both graphs in one; the second line of a node says in what the runs differ there. */
function Merged({
  graph,
  a,
  b,
  rows,
}: {
  graph: GraphDefinition
  a: WorkflowSession
  b: WorkflowSession
  rows: readonly ComparedRow[]
}) {
  const m = useMoreText()
  const [drawn, session] = useMemo(() => {
    const byId = new Map(rows.map((row) => [row.id, row]))
    const nodes = Object.entries(graph.nodes).map(([id, node]) => {
      const differences = byId.get(id)?.differences ?? []
      const type = differences.map((difference) => m.difference[difference]).join(', ')
      return [id, { ...node, type: type === '' ? m.same : type }] as const
    })
    const state = mergedSession(a, b)
    // The types of nodes as they were reported would hide what is said here.
    const reported = Object.entries(state.nodes).map(([id, { type: _, ...node }]) => [id, node] as const)
    return [
      { ...graph, nodes: Object.fromEntries(nodes) },
      { ...state, nodes: Object.fromEntries(reported) },
    ]
  }, [graph, a, b, rows, m])
  return (
    <section className="card" aria-label={m.mergedGraph}>
      <div className="card-head">
        <h2>{m.mergedGraph}</h2>
        <span className="faint">{m.mergedHint}</span>
      </div>
      <GraphPreview graph={drawn} session={session} />
    </section>
  )
}

function Row({ row, a, b }: { row: ComparedRow; a: string; b: string }) {
  const m = useMoreText()
  const [isOpen, setOpen] = useState(false)
  const { id, name, node, differences } = row
  return (
    <>
      <tr className={differences.length > 0 ? 'differing' : undefined}>
        <th scope="row">
          {name}
          {name !== id && <p className="dim small mono">{id}</p>}
        </th>
        <td>
          <Side figures={node.from} other={undefined} sessionId={a} nodeId={id} name={`A: ${name}`} />
        </td>
        <td>
          <Side figures={node.to} other={node.from} sessionId={b} nodeId={id} name={`B: ${name}`} />
        </td>
        <td>
          {differences.length === 0 ? (
            <span className="dim">{m.same}</span>
          ) : (
            differences.map((each) => m.difference[each]).join(', ')
          )}
        </td>
        <td>
          <span className="cell-actions">
            <button
              type="button"
              aria-expanded={isOpen}
              aria-label={m.ofThing(m.outputs, name)}
              onClick={() => setOpen(!isOpen)}
            >
              {m.outputs}
            </button>
          </span>
        </td>
      </tr>
      {isOpen && (
        <tr className="outputs-row">
          <td colSpan={5}>
            <div className="outputs-pair">
              {node.from !== undefined && <Output letter="A" sessionId={a} nodeId={id} />}
              {node.to !== undefined && <Output letter="B" sessionId={b} nodeId={id} />}
            </div>
          </td>
        </tr>
      )}
    </>
  )
}

interface SideProps {
  figures: ComparedNode['from']
  other: ComparedNode['from']
  sessionId: string
  nodeId: string
  name: string
}

function Side({ figures, other, sessionId, nodeId, name }: SideProps): ReactNode {
  const t = useText()
  if (figures === undefined) return <span className="faint">–</span>
  const { status, durationMs, attempts, inputTokens, outputTokens, costUsd } = figures
  const tokens = inputTokens + outputTokens
  const otherTokens = other === undefined ? undefined : other.inputTokens + other.outputTokens
  const facts = [
    durationMs !== undefined && withDelta(durationMs, other?.durationMs, duration),
    attempts > 1 && `×${attempts}`,
    (tokens > 0 || (otherTokens ?? 0) > 0) && `${withDelta(tokens, otherTokens, count)} ${t.tokens}`,
    costUsd !== undefined && (costUsd > 0 || (other?.costUsd ?? 0) > 0) && withDelta(costUsd, other?.costUsd, cost),
  ].filter((fact) => fact !== false)
  return (
    <>
      {/* biome-ignore lint/a11y/useAriaPropsSupportedByRole: a link, whose `href` is in `linkTo`. */}
      <a
        className={`figure-link status-word ${status}`}
        aria-label={`${t.status[status]}, ${name}`}
        {...linkTo({ page: 'session', sessionId, filters: noFilters, view: { ...plainView, nodeId, panel: 'node' } })}
      >
        {t.status[status]}
      </a>
      <p className="dim small">{facts.join(' · ')}</p>
    </>
  )
}

function withDelta(value: number, other: number | undefined, format: (value: number) => string): string {
  return other === undefined || other === value ? format(value) : `${format(value)} (${signed(value - other, format)})`
}

function Output({ letter, sessionId, nodeId }: { letter: string; sessionId: string; nodeId: string }) {
  const t = useText()
  const { value, error } = useRead<NodeDetail>(`/sessions/${sessionId}/nodes/${encodeURIComponent(nodeId)}`)
  return (
    <section aria-label={`${t.output} ${letter}`}>
      <h3>
        <span className="side-letter">{letter}</span> {t.output}
      </h3>
      {error !== undefined && <p className="error-line">{error}</p>}
      {value?.error !== undefined && <p className="bad">{value.error}</p>}
      {value !== undefined && value.output === undefined && <p className="faint">{t.noOutput}</p>}
      {value?.output !== undefined && <ValueView value={value.output} />}
    </section>
  )
}
