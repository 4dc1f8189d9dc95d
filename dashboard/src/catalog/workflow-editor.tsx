import type { Workflow, WorkflowFields } from '@relive/types'
import { useDeferredValue, useEffect, useMemo, useState } from 'react'

import { request } from '../api/http'
import { readJson } from '../format/json'
import type { MoreText } from '../i18n/more-en'
import { useText } from '../i18n/text'
import { Choice } from '../more/form'
import { useMoreText } from '../more/text'
import { useAction } from '../more/use-action'
import { catalog } from '../sessions/catalog'
import { useStore } from '../store/use-store'
import { checkGraph, type GraphProblem } from './graph-check'
import { GraphPreview } from './graph-preview'

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

/** A workflow as JSON, drawn as it is edited. The server checks it when it is stored, and says what it refuses. */
export function WorkflowEditor({ workflow, onSaved, onClose }: WorkflowEditorProps) {
  const t = useText()
  const m = useMoreText()
  const groups = useStore(catalog, (state) => state.groups)
  const [name, setName] = useState(workflow?.name ?? '')
  const [groupId, setGroupId] = useState(workflow?.groupId ?? '')
  const [written, setWritten] = useState(() => JSON.stringify(workflow?.graph ?? first, undefined, 2))
  const settled = useDeferredValue(written)
  const checked = useMemo(() => checkGraph(settled), [settled])
  const [drawn, setDrawn] = useState(checked.problem === undefined ? checked.graph : undefined)
  const save = useAction()
  const [key] = useState(() => `workflow-${Date.now()}-${Math.random()}`)
  // While what is written makes no graph, the last one stays.
  useEffect(() => {
    if (checked.problem === undefined) setDrawn(checked.graph)
  }, [checked])
  const store = async () => {
    const graph = readJson(written) as WorkflowFields['graph']
    const title = name.trim()
    // A graph has a name of its own; that of the workflow is meant.
    const body: WorkflowFields = {
      name: title,
      graph: { ...graph, name: graph.name || title },
      ...(groupId !== '' && { groupId }),
    }
    const stored =
      workflow === undefined
        ? await request<Workflow>('POST', '/workflows', { body, headers: { 'idempotency-key': key } })
        : await request<Workflow>('PUT', `/workflows/${workflow.id}`, { body })
    onSaved(stored.id)
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
          <label className="editor-text">
            {m.graphAsJson}
            <textarea
              className="mono"
              spellCheck={false}
              value={written}
              aria-invalid={checked.problem !== undefined}
              onChange={(event) => setWritten(event.target.value)}
            />
          </label>
          {drawn !== undefined && <GraphPreview graph={drawn} />}
        </div>
        <p role="status" className={checked.problem === undefined ? 'good' : 'error-line'}>
          {checked.problem === undefined
            ? t.nodeCount(Object.keys(checked.graph.nodes).length)
            : problemText(m, checked.problem)}
        </p>
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

function problemText(m: MoreText, problem: GraphProblem): string {
  switch (problem.kind) {
    case 'json':
      return m.problem.json(problem.line)
    case 'shape':
      return m.problem.shape
    case 'start':
      return m.problem.start(problem.id)
    case 'next':
      return m.problem.next(problem.id, problem.to)
    case 'id':
      return m.problem.id(problem.id, problem.other)
  }
}
