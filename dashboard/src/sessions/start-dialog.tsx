import { useEffect, useState } from 'react'

import { InputsField, ProposalField, useStartRun } from '../again/start-run'
import { sessionCode } from '../app/session-code'
import { textOrStructure } from '../format/json'
import { useText } from '../i18n/text'
import { Choice, FormDialog } from '../more/form'
import { useStore } from '../store/use-store'
import { isJsonOrEmpty, jsonMember } from '../ui/fields'
import { catalog, loadCatalog } from './catalog'

/** Starts a stored workflow on the server's built-in engine. */
export function StartDialog({ onClose }: { onClose: () => void }) {
  const t = useText()
  const { workflows, groups, isLoaded } = useStore(catalog, (state) => state)
  const [workflowId, setWorkflowId] = useState('')
  const [groupId, setGroupId] = useState('')
  const [proposal, setProposal] = useState('')
  const [inputs, setInputs] = useState('')
  useEffect(() => void loadCatalog(), [])
  // Its page must be there before it starts: what is written before anybody listens is not sent again.
  const start = useStartRun({ prepare: sessionCode.load, onCreated: onClose })
  const chosen = workflows.find(({ id }) => id === workflowId) ?? workflows[0]
  const group = groupId || (chosen?.groupId ?? '')
  const submit = async () => {
    if (chosen === undefined) return
    await start({
      workflowId: chosen.id,
      driver: 'builtin',
      ...(group !== '' && { groupId: group }),
      ...(proposal.trim() !== '' && { proposal: textOrStructure(proposal) }),
      ...jsonMember('inputs', inputs),
    })
  }
  const choices = workflows.map(({ id, name, graph }) => ({
    id,
    name: `${name} · ${t.nodeCount(Object.keys(graph.nodes).length)}`,
  }))
  return (
    <FormDialog
      title={t.newRun}
      action={t.startRun}
      actionNow={t.starting}
      isReady={chosen !== undefined && isJsonOrEmpty(inputs)}
      onSubmit={submit}
      onClose={onClose}
    >
      <p className="faint">{t.newRunIntro}</p>
      {isLoaded && workflows.length === 0 ? (
        <p>{t.noWorkflows}</p>
      ) : (
        <Choice label={t.workflow} value={chosen?.id ?? ''} entries={choices} onChange={setWorkflowId} />
      )}
      {chosen?.graph.description !== undefined && <p className="faint description">{chosen.graph.description}</p>}
      {groups.length > 0 && (
        <Choice label={t.group} none={t.noGroup} value={group} entries={groups} onChange={setGroupId} />
      )}
      <ProposalField value={proposal} onChange={setProposal} />
      <InputsField value={inputs} onChange={setInputs} />
    </FormDialog>
  )
}
