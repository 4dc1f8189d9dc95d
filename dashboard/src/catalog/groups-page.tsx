import type { Agent, AgentPage, Group, GroupFields, GroupPage } from '@relive/types'
import { useState } from 'react'

import { useMay } from '../access/me'
import { request } from '../api/http'
import { noFilters } from '../app/address'
import { linkTo } from '../app/place'
import { useText } from '../i18n/text'
import { DeleteButton } from '../more/delete-button'
import { FormDialog } from '../more/form'
import { PageFrame } from '../more/page-frame'
import { useMoreText } from '../more/text'
import { usePaged } from '../more/use-read'
import { Icon } from '../ui/icon'

/** The groups of the project: what workflows, runs and memories are sorted by. */
export function GroupsPage() {
  const t = useText()
  const m = useMoreText()
  const mayEdit = useMay('administer')
  const { entries, error, hasMore, more, reload } = usePaged<GroupPage, Group>('/groups', (page) => page.groups)
  const agents = usePaged<AgentPage, Agent>('/agents', (page) => page.agents).entries ?? []
  const [edited, setEdited] = useState<Group | 'new'>()
  const nameOf = (id: string) => agents.find((agent) => agent.id === id)?.name ?? `…${id.slice(-8)}`
  return (
    <PageFrame
      title={m.groups}
      error={error}
      actions={
        mayEdit && (
          <button type="button" className="primary" onClick={() => setEdited('new')}>
            <Icon name="plus" />
            {m.newGroup}
          </button>
        )
      }
    >
      <div className="more-body scroll" tabIndex={0} role="region" aria-label={m.groups}>
        <div className="card scroll" tabIndex={0} role="region" aria-label={m.tableOf(m.groups)}>
          <table className="plain">
            <thead>
              <tr>
                <th scope="col">{m.name}</th>
                <th scope="col">{m.systemPrompt}</th>
                <th scope="col">{m.agents}</th>
                <th scope="col">
                  <span className="visually-hidden">{m.actions}</span>
                </th>
              </tr>
            </thead>
            <tbody>
              {entries?.map((group) => (
                <tr key={group.id}>
                  <th scope="row">
                    {group.icon} {group.name}
                  </th>
                  <td className="dim wide prompt">{group.systemPrompt}</td>
                  <td>{group.defaultAgentIds?.map(nameOf).join(', ')}</td>
                  <td>
                    <span className="cell-actions">
                      <a
                        className="button"
                        {...linkTo({ page: 'sessions', filters: { ...noFilters, groupId: group.id } })}
                      >
                        {m.itsRuns}
                      </a>
                      {mayEdit && (
                        <>
                          <button type="button" aria-label={m.editOf(group.name)} onClick={() => setEdited(group)}>
                            {m.edit}
                          </button>
                          <DeleteButton
                            name={group.name}
                            path={`/groups/${group.id}`}
                            consequence={m.deleteGroup}
                            onDeleted={reload}
                          />
                        </>
                      )}
                    </span>
                  </td>
                </tr>
              ))}
            </tbody>
          </table>
          {entries?.length === 0 && <p className="empty">{m.noGroups}</p>}
          {entries === undefined && error === undefined && <p className="empty">{t.loading}</p>}
          {hasMore && (
            <button type="button" className="quiet" onClick={more}>
              {m.moreRows}
            </button>
          )}
        </div>
      </div>
      {edited !== undefined && (
        <GroupDialog
          group={edited === 'new' ? undefined : edited}
          agents={agents}
          onSaved={reload}
          onClose={() => setEdited(undefined)}
        />
      )}
    </PageFrame>
  )
}

interface GroupDialogProps {
  group: Group | undefined
  agents: readonly Agent[]
  onSaved(): void
  onClose(): void
}

function GroupDialog({ group, agents, onSaved, onClose }: GroupDialogProps) {
  const m = useMoreText()
  const [name, setName] = useState(group?.name ?? '')
  const [icon, setIcon] = useState(group?.icon ?? '')
  const [prompt, setPrompt] = useState(group?.systemPrompt ?? '')
  const [chosen, setChosen] = useState<readonly string[]>(group?.defaultAgentIds ?? [])
  const [key] = useState(() => `group-${Date.now()}-${Math.random()}`)
  const submit = async () => {
    const body: GroupFields = {
      name: name.trim(),
      ...(icon.trim() !== '' && { icon: icon.trim() }),
      ...(prompt.trim() !== '' && { systemPrompt: prompt }),
      ...(chosen.length > 0 && { defaultAgentIds: [...chosen] }),
    }
    if (group === undefined) await request('POST', '/groups', { body, headers: { 'idempotency-key': key } })
    else await request('PUT', `/groups/${group.id}`, { body })
    onSaved()
    onClose()
  }
  return (
    <FormDialog
      title={group === undefined ? m.newGroup : m.editOf(group.name)}
      action={group === undefined ? m.create : m.save}
      isReady={name.trim() !== ''}
      onSubmit={submit}
      onClose={onClose}
    >
      <label>
        {m.name}
        <input required maxLength={200} value={name} onChange={(event) => setName(event.target.value)} />
      </label>
      <label>
        {m.icon}
        <input maxLength={16} value={icon} onChange={(event) => setIcon(event.target.value)} />
      </label>
      <label>
        {m.systemPrompt}
        <textarea rows={4} dir="auto" value={prompt} onChange={(event) => setPrompt(event.target.value)} />
      </label>
      {agents.length > 0 && (
        <fieldset className="checks">
          <legend>{m.agents}</legend>
          {agents.map(({ id, name: agent }) => (
            <label key={id}>
              <input
                type="checkbox"
                checked={chosen.includes(id)}
                onChange={(event) =>
                  setChosen(event.target.checked ? [...chosen, id] : chosen.filter((other) => other !== id))
                }
              />
              {agent}
            </label>
          ))}
        </fieldset>
      )}
    </FormDialog>
  )
}
