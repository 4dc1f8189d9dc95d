import type { CreateSession, GraphDefinition, Workflow } from '@relive/types'
import { useMemo, useState } from 'react'

import { useMay } from '../access/me'
import { readJson, textOrStructure } from '../format/json'
import { useText } from '../i18n/text'
import { FormDialog } from '../more/form'
import { useMoreText } from '../more/text'
import { isJsonOrEmpty, TextArea } from '../ui/fields'
import { fieldValue, inputNames, textOf } from './inputs'
import { InputsField, ProposalField, useStartRun } from './start-run'

/** What a run is made of. */
export interface RunSource {
  /** The stored workflow; `undefined`: only the graph is left of it, or there never was one. */
  readonly workflow?: Pick<Workflow, 'id' | 'graph'> | undefined
  /** The graph of the run that is repeated. */
  readonly graph?: GraphDefinition | undefined
  readonly name?: string | undefined
  readonly groupId?: string | undefined
  readonly tags?: readonly string[] | undefined
  readonly metadata?: CreateSession['metadata'] | undefined
  readonly inputs?: unknown
  readonly proposal?: unknown
  /** An engine outside takes it up; by default the server runs it. */
  readonly isExternal?: boolean | undefined
}

interface RunDialogProps {
  title: string
  source: RunSource
  /** Loads the page of runs, where it may not be there yet: what is written before anybody listens is not sent again. */
  prepare?: () => Promise<unknown>
  onClose(): void
}

function proposalText(proposal: unknown): string {
  if (proposal === undefined || proposal === null) return ''
  return typeof proposal === 'string' ? proposal : JSON.stringify(proposal, undefined, 2)
}

/** Starts a run, with a field for each input that the graph asks for, or with the inputs as JSON. */
export function RunDialog({ title, source, prepare, onClose }: RunDialogProps) {
  const t = useText()
  const m = useMoreText()
  const mayUseGraph = useMay('createFromGraph')
  const { workflow, graph } = source
  const [isOwnGraph, setOwnGraph] = useState(workflow === undefined)
  const used = isOwnGraph ? graph : workflow?.graph
  const names = useMemo(() => (used === undefined ? [] : inputNames(used)), [used])
  const isPlain = typeof source.inputs === 'object' && source.inputs !== null && !Array.isArray(source.inputs)
  const [fields, setFields] = useState<Readonly<Record<string, string>>>(() =>
    isPlain
      ? Object.fromEntries(Object.entries(source.inputs as object).map(([name, value]) => [name, textOf(value)]))
      : {},
  )
  const shown = [...new Set([...names, ...Object.keys(fields)])]
  const [json, setJson] = useState<string | undefined>(() =>
    source.inputs === undefined || source.inputs === null || isPlain
      ? undefined
      : JSON.stringify(source.inputs, undefined, 2),
  )
  const [proposal, setProposal] = useState(() => proposalText(source.proposal))
  const start = useStartRun({ prepare, isExternal: source.isExternal, onCreated: onClose })
  const isJsonFine = json === undefined || isJsonOrEmpty(json)
  const entered = Object.fromEntries(
    shown.flatMap((name) =>
      fields[name] === undefined || fields[name] === '' ? [] : [[name, fieldValue(fields[name])]],
    ),
  )
  const inputs = json === undefined ? (Object.keys(entered).length === 0 ? undefined : entered) : readJson(json)
  const needsGraph = isOwnGraph && graph !== undefined
  const submit = async () => {
    const body: CreateSession = {
      ...(workflow !== undefined && { workflowId: workflow.id }),
      ...(needsGraph && { graph }),
      ...(source.isExternal !== true && { driver: 'builtin' }),
      ...(source.name !== undefined && { name: source.name }),
      ...(source.groupId !== undefined && { groupId: source.groupId }),
      ...(source.tags !== undefined && source.tags.length > 0 && { tags: [...source.tags] }),
      ...(source.metadata !== undefined && { metadata: source.metadata }),
      ...(inputs !== undefined && { inputs }),
      ...(proposal.trim() !== '' && {
        // Unchanged it stays what it was: a text that looks like JSON, too.
        proposal: proposal === proposalText(source.proposal) ? source.proposal : textOrStructure(proposal),
      }),
    }
    await start(body)
  }
  return (
    <FormDialog
      title={title}
      action={t.startRun}
      isReady={isJsonFine && (workflow !== undefined || (graph !== undefined && mayUseGraph))}
      onSubmit={submit}
      onClose={onClose}
    >
      {source.isExternal === true && <p className="faint">{m.externalAgain}</p>}
      {workflow === undefined && graph === undefined && <p>{m.nothingToRun}</p>}
      {workflow === undefined && graph !== undefined && !mayUseGraph && <p>{m.graphNotAllowed}</p>}
      {workflow !== undefined && graph !== undefined && mayUseGraph && (
        <label>
          {t.graph}
          <select
            value={isOwnGraph ? 'own' : 'workflow'}
            onChange={(event) => setOwnGraph(event.target.value === 'own')}
          >
            <option value="workflow">{m.graphOfWorkflow}</option>
            <option value="own">{m.graphOfRun}</option>
          </select>
        </label>
      )}
      <ProposalField value={proposal} onChange={setProposal} />
      {json === undefined &&
        shown.map((name) => (
          <TextArea
            key={name}
            label={m.inputNamed(name)}
            rows={(fields[name] ?? '').length > 60 ? 4 : 1}
            value={fields[name] ?? ''}
            onChange={(text) => setFields({ ...fields, [name]: text })}
          />
        ))}
      {json !== undefined && <InputsField value={json} onChange={setJson} />}
      {json === undefined && (
        <button
          type="button"
          className="quiet start"
          onClick={() => setJson(Object.keys(entered).length === 0 ? '' : JSON.stringify(entered, undefined, 2))}
        >
          {m.inputsAsJson}
        </button>
      )}
    </FormDialog>
  )
}
