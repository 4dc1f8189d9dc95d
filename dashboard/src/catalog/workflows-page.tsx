import type { Workflow, WorkflowPage } from '@relive/types'
import { useEffect, useState } from 'react'

import { useMay } from '../access/me'
import { RunDialog } from '../again/run-dialog'
import { noFilters } from '../app/address'
import type { PageOptions } from '../app/more-address'
import { adjustOptions, linkTo } from '../app/place'
import { sessionCode } from '../app/session-code'
import { moment } from '../format/time'
import { useText } from '../i18n/text'
import { ListEnd, NewButton, RowActions } from '../more/list-page'
import { PageFrame } from '../more/page-frame'
import { useMoreText } from '../more/text'
import { usePaged } from '../more/use-read'
import { loadCatalog } from '../sessions/catalog'
import { GraphPreview } from './graph-preview'
import { WorkflowEditor } from './workflow-editor'

/** The stored workflows: their graphs, and running them. */
export function WorkflowsPage({ options }: { options: PageOptions }) {
  const t = useText()
  const m = useMoreText()
  const mayEdit = useMay('administer')
  const list = usePaged<WorkflowPage, Workflow>('/workflows', (page) => page.workflows)
  const { entries, reload } = list
  const isNew = options['id'] === 'new' && mayEdit
  const chosen = isNew ? undefined : (entries?.find(({ id }) => id === options['id']) ?? entries?.[0])
  useEffect(() => void loadCatalog(), [])
  return (
    <PageFrame
      title={m.workflows}
      error={list.error}
      actions={mayEdit && <NewButton label={m.newWorkflow} onClick={() => adjustOptions({ id: 'new' })} />}
    >
      <div className="two">
        <ul className="card two-list scroll" aria-label={m.workflows}>
          {entries?.map((workflow) => (
            <li key={workflow.id}>
              <button
                type="button"
                className="two-row"
                aria-current={workflow === chosen ? 'true' : undefined}
                onClick={() => adjustOptions({ id: workflow.id })}
              >
                <b>{workflow.name}</b>
                <span className="dim small num">
                  {t.nodeCount(Object.keys(workflow.graph.nodes).length)} ·{' '}
                  {moment(workflow.updatedAt, Date.now(), t.locale)}
                </span>
              </button>
            </li>
          ))}
          <li>
            <ListEnd list={list} empty={m.noWorkflows} />
          </li>
        </ul>
        {chosen !== undefined && <Chosen key={chosen.id} workflow={chosen} mayEdit={mayEdit} onChange={reload} />}
        {isNew && (
          <WorkflowEditor
            workflow={undefined}
            onSaved={(id) => {
              reload()
              adjustOptions({ id })
            }}
            onClose={() => adjustOptions({ id: '' })}
          />
        )}
      </div>
    </PageFrame>
  )
}

interface ChosenProps {
  workflow: Workflow
  mayEdit: boolean
  onChange(): void
}

function Chosen({ workflow, mayEdit, onChange }: ChosenProps) {
  const t = useText()
  const m = useMoreText()
  const mayCreate = useMay('create')
  const [isEditing, setEditing] = useState(false)
  const [isRunning, setRunning] = useState(false)
  if (isEditing) {
    return (
      <WorkflowEditor
        workflow={workflow}
        onSaved={() => {
          setEditing(false)
          onChange()
        }}
        onClose={() => setEditing(false)}
      />
    )
  }
  return (
    <section className="card two-main" aria-label={workflow.name}>
      <div className="card-head">
        <h2>{workflow.name}</h2>
        <a
          className="figure-link dim"
          {...linkTo({ page: 'sessions', filters: { ...noFilters, workflowId: workflow.id } })}
        >
          {m.itsRuns}
        </a>
        <span className="grow" />
        {mayCreate && (
          <button type="button" className="primary" onClick={() => setRunning(true)}>
            {m.runIt}
          </button>
        )}
        {mayEdit && (
          <RowActions
            name={workflow.name}
            path={`/workflows/${workflow.id}`}
            consequence={m.deleteWorkflow}
            onEdit={() => setEditing(true)}
            onDeleted={onChange}
          />
        )}
      </div>
      {workflow.graph.description !== undefined && <p className="card-text dim">{workflow.graph.description}</p>}
      <GraphPreview graph={workflow.graph} />
      {isRunning && (
        <RunDialog
          title={m.runOf(workflow.name)}
          source={{ workflow, groupId: workflow.groupId }}
          prepare={sessionCode.load}
          onClose={() => setRunning(false)}
        />
      )}
      <p className="card-text faint small mono">
        {t.nodeCount(Object.keys(workflow.graph.nodes).length)} · {workflow.id}
      </p>
    </section>
  )
}
