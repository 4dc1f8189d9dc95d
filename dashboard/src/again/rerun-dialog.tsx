import type { Created, GraphDefinition, SessionEntity, Workflow, WorkflowSession } from '@relive/types'

import { useText } from '../i18n/text'
import { useRead } from '../more/use-read'
import { Dialog } from '../ui/dialog'
import { RunDialog } from './run-dialog'

interface RerunDialogProps {
  created: Created
  entity: SessionEntity
  graph: GraphDefinition | undefined
  labels: Pick<WorkflowSession, 'name' | 'tags' | 'metadata'> | undefined
  onClose(): void
}

/** A run once more, with the same input or another one. */
export function RerunDialog({ created, entity, graph, labels, onClose }: RerunDialogProps) {
  const t = useText()
  const { workflowId } = created
  const { value: workflow, error } = useRead<Workflow>(
    workflowId === undefined ? undefined : `/workflows/${workflowId}`,
  )
  // A deleted workflow leaves the graph of the run.
  if (workflowId !== undefined && workflow === undefined && error === undefined) {
    return (
      <Dialog title={t.runAgain} onClose={onClose}>
        <p className="faint">{t.loading}</p>
      </Dialog>
    )
  }
  return (
    <RunDialog
      title={t.runAgain}
      source={{
        workflow,
        graph: graph ?? created.graph,
        groupId: entity.groupId,
        name: labels?.name,
        tags: labels?.tags,
        metadata: labels?.metadata,
        inputs: entity.inputs ?? created.inputs,
        proposal: created.proposal ?? entity.proposal,
        isExternal: created.driver !== 'builtin',
      }}
      onClose={onClose}
    />
  )
}
