import { ReliveError, type Workflow, type WorkflowFields, type WorkflowSession } from '@relive/types'
import { useDeferredValue, useEffect, useMemo, useState } from 'react'

import { request } from '../api/http'
import { readJson } from '../format/json'
import type { MoreText } from '../i18n/more-en'
import { useText } from '../i18n/text'
import { Choice } from '../more/form'
import { JsonEditor, type Mark } from '../more/json-editor'
import { useMoreText } from '../more/text'
import { useAction } from '../more/use-action'
import { catalog } from '../sessions/catalog'
import { useStore } from '../store/use-store'
import { checkGraph, type GraphProblem, placeOfRefusal } from './graph-check'
import { GraphPreview } from './graph-preview'
import { type Refusal, useServerCheck } from './use-server-check'

/** What a new workflow begins with: a graph that the built-in engine runs. */
const first = {
  name: '',
  properties: { driver: 'builtin' },
  startNodeId: 'greet',
  nodes: {
    greet: {
      id: 'greet',
      type: 'sequence',
      name: 'Greet',
      nextIds: [],
      properties: { output: { text: 'Hello, {{ inputs.name }}!' } },
    },
  },
}

interface WorkflowEditorProps {
  workflow: Workflow | undefined
  onSaved(id: string): void
  onClose(): void
}

/**
 * A workflow as JSON, drawn and checked as it is edited: at once by the page, and by the server when nothing has been
 * typed for a moment. What it refuses is placed at its line and its node.
 */
export function WorkflowEditor({ workflow, onSaved, onClose }: WorkflowEditorProps) {
  const t = useText()
  const m = useMoreText()
  const groups = useStore(catalog, (state) => state.groups)
  const [name, setName] = useState(workflow?.name ?? '')
  const [groupId, setGroupId] = useState(workflow?.groupId ?? '')
  const [written, setWritten] = useState(() => JSON.stringify(workflow?.graph ?? first, undefined, 2))
  const settled = useDeferredValue(written)
  const checked = useMemo(() => checkGraph(settled), [settled])
  const [drawn, setDrawn] = useState(checked.graph)
  /** Why this text was refused. */
  const [refused, setRefused] = useState<Refusal>()
  const save = useAction()
  const [key] = useState(() => `workflow-${Date.now()}-${Math.random()}`)
  // While what is written makes no graph, the last one stays.
  useEffect(() => {
    if (checked.graph !== undefined) setDrawn(checked.graph)
  }, [checked])
  const isFine = checked.problems.length === 0
  const fields = useMemo(
    () => (isFine ? fieldsOf(readJson(settled), name.trim(), groupId) : undefined),
    [isFine, settled, name, groupId],
  )
  const refusal = useServerCheck(settled, fields)
  const found = useMemo((): readonly Found[] => {
    const own = checked.problems.map(({ problem, ...place }) => ({
      ...place,
      text: problemText(m, problem, place.line),
      isHint: problem.kind === 'repeated',
    }))
    const last = refused?.text === settled ? refused : refusal
    if (last === undefined) return own
    return [{ ...placeOfRefusal(last.reason, settled), text: last.reason }, ...own]
  }, [checked, refused, refusal, settled, m])
  const wrong = useMemo(() => statesOf(found), [found])
  const store = async () => {
    const body = fieldsOf(readJson(written), name.trim(), groupId)
    setRefused(undefined)
    try {
      const stored =
        workflow === undefined
          ? await request<Workflow>('POST', '/workflows', { body, headers: { 'idempotency-key': key } })
          : await request<Workflow>('PUT', `/workflows/${workflow.id}`, { body })
      onSaved(stored.id)
    } catch (cause) {
      if (cause instanceof ReliveError && !cause.retryable) setRefused({ text: written, reason: cause.message })
      throw cause
    }
  }
  return (
    <section className="card two-main editor" aria-label={workflow?.name ?? m.newWorkflow}>
      <form
        className="start-form"
        onSubmit={(event) => {
          event.preventDefault()
          void save.run(store)
        }}
      >
        <div className="editor-fields">
          <label>
            {m.name}
            <input required maxLength={200} value={name} onChange={(event) => setName(event.target.value)} />
          </label>
          <Choice label={t.group} none={t.noGroup} value={groupId} entries={groups} onChange={setGroupId} />
        </div>
        <div className="editor-parts">
          <JsonEditor
            label={m.graphAsJson}
            value={written}
            marks={found}
            fine={checked.graph && t.nodeCount(Object.keys(checked.graph.nodes).length)}
            onChange={setWritten}
          />
          {drawn !== undefined && <GraphPreview graph={drawn} session={wrong} />}
        </div>
        {save.error !== undefined && (
          <p className="error-line" role="alert">
            {save.error}
          </p>
        )}
        <div className="buttons end">
          <button type="button" onClick={onClose}>
            {t.cancelDialog}
          </button>
          <button
            type="submit"
            className="primary"
            disabled={save.isBusy || name.trim() === '' || readJson(written) === undefined}
          >
            {m.save}
          </button>
        </div>
      </form>
    </section>
  )
}

function fieldsOf(graph: unknown, title: string, groupId: string): WorkflowFields {
  // A name is still to be given; the graph can be checked.
  const name = title === '' ? 'Workflow' : title
  const given = graph as WorkflowFields['graph']
  // A graph has a name of its own; that of the workflow is meant.
  return { name, graph: { ...given, name: given.name || name }, ...(groupId !== '' && { groupId }) }
}

interface Found extends Mark {
  readonly nodeId?: string
}

/** What is wrong with a node is drawn at it, as a failure is. */
function statesOf(found: readonly Found[]): WorkflowSession | undefined {
  const nodes = found.flatMap(({ nodeId, text }) =>
    nodeId === undefined ? [] : [[nodeId, { id: nodeId, status: 'failed', error: text }] as const],
  )
  return nodes.length === 0 ? undefined : ({ nodes: Object.fromEntries(nodes) } as unknown as WorkflowSession)
}

function problemText(m: MoreText, problem: GraphProblem, line: number): string {
  switch (problem.kind) {
    case 'json':
      return m.problem.json(line)
    case 'shape':
    case 'nodeShape':
      return m.problem[problem.kind]
    case 'repeated':
      return m.repeatedMember(problem.name)
    case 'start':
    case 'unreachable':
    case 'cycle':
    case 'noBody':
      return m.problem[problem.kind](problem.id)
    case 'next':
      return m.problem.next(problem.id, problem.to)
    case 'id':
      return m.problem.id(problem.id, problem.other)
    case 'type':
      return m.problem.type(problem.type, problem.known.join(', '))
    case 'unknownProperty':
      return m.problem.unknownProperty(problem.name, problem.nearest)
    case 'field':
    case 'needed':
    case 'number':
    case 'flag':
      return m.problem[problem.kind](problem.name)
  }
}
