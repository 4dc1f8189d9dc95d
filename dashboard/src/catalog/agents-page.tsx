import type { Agent, AgentFields, AgentPage } from '@relive/types'
import { useState } from 'react'

import { useMay } from '../access/me'
import { useText } from '../i18n/text'
import { EntityDialog } from '../more/entity-dialog'
import { ListEnd, ListPage, RowActions } from '../more/list-page'
import { useMoreText } from '../more/text'
import { usePaged } from '../more/use-read'
import { isJsonOrEmpty, JsonField, jsonMember, jsonText, TextArea, TextField, textMember } from '../ui/fields'

/** The agents of the project: who speaks in its workflows. */
export function AgentsPage() {
  const m = useMoreText()
  const mayEdit = useMay('administer')
  const list = usePaged<AgentPage, Agent>('/agents', (page) => page.agents)
  return (
    <ListPage<Agent>
      title={m.agents}
      error={list.error}
      makes={mayEdit && m.newAgent}
      form={(agent, close) => <AgentDialog agent={agent} onSaved={list.reload} onClose={close} />}
    >
      {(edit) => (
        <>
          <ul className="agent-cards" aria-label={m.agents}>
            {list.entries?.map((agent) => (
              <li key={agent.id} className="card agent-card">
                <div className="card-head">
                  <h2>
                    {agent.avatar !== undefined && !/^https?:/.test(agent.avatar) && `${agent.avatar} `}
                    {agent.name}
                  </h2>
                  <span className="dim small">
                    {[agent.modelConfig?.model, agent.modelConfig?.temperature]
                      .filter((part) => part !== undefined)
                      .join(' · ')}
                  </span>
                  <span className="grow" />
                  {mayEdit && (
                    <RowActions
                      name={agent.name}
                      path={`/agents/${agent.id}`}
                      consequence={m.deleteAgent}
                      onEdit={() => edit(agent)}
                      onDeleted={list.reload}
                    />
                  )}
                </div>
                {agent.description !== undefined && <p className="card-text">{agent.description}</p>}
                <pre className="persona scroll" tabIndex={0} dir="auto">
                  {agent.personaPrompt}
                </pre>
              </li>
            ))}
          </ul>
          <ListEnd list={list} empty={m.noAgents} />
        </>
      )}
    </ListPage>
  )
}

interface AgentDialogProps {
  agent: Agent | undefined
  onSaved(): void
  onClose(): void
}

function AgentDialog({ agent, onSaved, onClose }: AgentDialogProps) {
  const t = useText()
  const m = useMoreText()
  const [name, setName] = useState(agent?.name ?? '')
  const [avatar, setAvatar] = useState(agent?.avatar ?? '')
  const [description, setDescription] = useState(agent?.description ?? '')
  const [persona, setPersona] = useState(agent?.personaPrompt ?? '')
  const [model, setModel] = useState(agent?.modelConfig?.model ?? '')
  const [temperature, setTemperature] = useState(String(agent?.modelConfig?.temperature ?? ''))
  const [capabilities, setCapabilities] = useState(jsonText(agent?.capabilities))
  const body = (): AgentFields => {
    // What else is in the model's settings stays.
    const { model: _, temperature: __, ...settings } = agent?.modelConfig ?? {}
    const modelConfig = {
      ...settings,
      ...textMember('model', model),
      ...(temperature.trim() !== '' && { temperature: Number(temperature) }),
    }
    return {
      name: name.trim(),
      personaPrompt: persona,
      ...textMember('avatar', avatar),
      ...textMember('description', description),
      ...(Object.keys(modelConfig).length > 0 && { modelConfig }),
      ...jsonMember('capabilities', capabilities),
    }
  }
  return (
    <EntityDialog
      path="/agents"
      entity={agent}
      newTitle={m.newAgent}
      isReady={name.trim() !== '' && isJsonOrEmpty(capabilities)}
      body={body}
      onSaved={onSaved}
      onClose={onClose}
    >
      <TextField label={m.name} required maxLength={200} value={name} onChange={setName} />
      <TextField label={m.avatar} maxLength={200} value={avatar} onChange={setAvatar} />
      <TextField label={m.description} value={description} onChange={setDescription} />
      <TextArea label={m.persona} rows={6} value={persona} onChange={setPersona} />
      <TextField label={t.model} spellCheck={false} value={model} onChange={setModel} />
      <TextField label={m.temperature} type="number" step="any" value={temperature} onChange={setTemperature} />
      <JsonField label={m.capabilities} rows={2} value={capabilities} onChange={setCapabilities} />
    </EntityDialog>
  )
}
