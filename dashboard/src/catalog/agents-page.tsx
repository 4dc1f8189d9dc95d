import type { Agent, AgentFields, AgentPage } from '@relive/types'
import { useState } from 'react'

import { useMay } from '../access/me'
import { request } from '../api/http'
import { readJson } from '../format/json'
import { useText } from '../i18n/text'
import { DeleteButton } from '../more/delete-button'
import { FormDialog } from '../more/form'
import { PageFrame } from '../more/page-frame'
import { useMoreText } from '../more/text'
import { usePaged } from '../more/use-read'
import { Icon } from '../ui/icon'

/** The agents of the project: who speaks in its workflows. */
export function AgentsPage() {
  const t = useText()
  const m = useMoreText()
  const mayEdit = useMay('administer')
  const { entries, error, hasMore, more, reload } = usePaged<AgentPage, Agent>('/agents', (page) => page.agents)
  const [edited, setEdited] = useState<Agent | 'new'>()
  return (
    <PageFrame
      title={m.agents}
      error={error}
      actions={
        mayEdit && (
          <button type="button" className="primary" onClick={() => setEdited('new')}>
            <Icon name="plus" />
            {m.newAgent}
          </button>
        )
      }
    >
      <div className="more-body scroll" tabIndex={0} role="region" aria-label={m.agents}>
        <ul className="agent-cards" aria-label={m.agents}>
          {entries?.map((agent) => (
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
                  <>
                    <button
                      type="button"
                      className="quiet"
                      aria-label={m.editOf(agent.name)}
                      onClick={() => setEdited(agent)}
                    >
                      {m.edit}
                    </button>
                    <DeleteButton
                      name={agent.name}
                      path={`/agents/${agent.id}`}
                      consequence={m.deleteAgent}
                      onDeleted={reload}
                    />
                  </>
                )}
              </div>
              {agent.description !== undefined && <p className="card-text">{agent.description}</p>}
              <pre className="persona scroll" tabIndex={0} dir="auto">
                {agent.personaPrompt}
              </pre>
            </li>
          ))}
        </ul>
        {entries?.length === 0 && <p className="card empty">{m.noAgents}</p>}
        {entries === undefined && error === undefined && <p className="faint">{t.loading}</p>}
        {hasMore && (
          <button type="button" className="quiet" onClick={more}>
            {m.moreRows}
          </button>
        )}
      </div>
      {edited !== undefined && (
        <AgentDialog
          agent={edited === 'new' ? undefined : edited}
          onSaved={reload}
          onClose={() => setEdited(undefined)}
        />
      )}
    </PageFrame>
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
  const [capabilities, setCapabilities] = useState(
    agent?.capabilities === undefined ? '' : JSON.stringify(agent.capabilities, undefined, 2),
  )
  const [key] = useState(() => `agent-${Date.now()}-${Math.random()}`)
  const isFine = capabilities.trim() === '' || readJson(capabilities) !== undefined
  const submit = async () => {
    // What else is in the model's settings stays.
    const { model: _, temperature: __, ...settings } = agent?.modelConfig ?? {}
    const modelConfig = {
      ...settings,
      ...(model.trim() !== '' && { model: model.trim() }),
      ...(temperature.trim() !== '' && { temperature: Number(temperature) }),
    }
    const body: AgentFields = {
      name: name.trim(),
      personaPrompt: persona,
      ...(avatar.trim() !== '' && { avatar: avatar.trim() }),
      ...(description.trim() !== '' && { description: description.trim() }),
      ...(Object.keys(modelConfig).length > 0 && { modelConfig }),
      ...(capabilities.trim() !== '' && { capabilities: readJson(capabilities) }),
    }
    if (agent === undefined) await request('POST', '/agents', { body, headers: { 'idempotency-key': key } })
    else await request('PUT', `/agents/${agent.id}`, { body })
    onSaved()
    onClose()
  }
  return (
    <FormDialog
      title={agent === undefined ? m.newAgent : m.editOf(agent.name)}
      action={agent === undefined ? m.create : m.save}
      isReady={name.trim() !== '' && isFine}
      onSubmit={submit}
      onClose={onClose}
    >
      <label>
        {m.name}
        <input required maxLength={200} value={name} onChange={(event) => setName(event.target.value)} />
      </label>
      <label>
        {m.avatar}
        <input maxLength={200} value={avatar} onChange={(event) => setAvatar(event.target.value)} />
      </label>
      <label>
        {m.description}
        <input value={description} onChange={(event) => setDescription(event.target.value)} />
      </label>
      <label>
        {m.persona}
        <textarea rows={6} dir="auto" value={persona} onChange={(event) => setPersona(event.target.value)} />
      </label>
      <label>
        {t.model}
        <input value={model} spellCheck={false} onChange={(event) => setModel(event.target.value)} />
      </label>
      <label>
        {m.temperature}
        <input type="number" step="any" value={temperature} onChange={(event) => setTemperature(event.target.value)} />
      </label>
      <label>
        {m.capabilities}
        <textarea
          rows={2}
          className="mono"
          value={capabilities}
          aria-invalid={!isFine}
          onChange={(event) => setCapabilities(event.target.value)}
        />
        {!isFine && <span className="error-line">{t.invalidJson}</span>}
      </label>
    </FormDialog>
  )
}
