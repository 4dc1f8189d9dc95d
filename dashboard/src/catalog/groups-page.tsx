import type { Agent, AgentPage, Group, GroupFields, GroupPage } from '@relive/types'
import { useState } from 'react'

import { useMay } from '../access/me'
import { noFilters } from '../app/address'
import { linkTo } from '../app/place'
import { EntityDialog } from '../more/entity-dialog'
import { ListPage, ListTable, RowActions } from '../more/list-page'
import { useMoreText } from '../more/text'
import { usePaged } from '../more/use-read'
import { Checks, TextArea, TextField, textMember } from '../ui/fields'

/** The groups of the project: what workflows, runs and memories are sorted by. */
export function GroupsPage() {
  const m = useMoreText()
  const mayEdit = useMay('administer')
  const list = usePaged<GroupPage, Group>('/groups', (page) => page.groups)
  const agents = usePaged<AgentPage, Agent>('/agents', (page) => page.agents).entries ?? []
  const nameOf = (id: string) => agents.find((agent) => agent.id === id)?.name ?? `…${id.slice(-8)}`
  return (
    <ListPage<Group>
      title={m.groups}
      error={list.error}
      makes={mayEdit && m.newGroup}
      form={(group, close) => <GroupDialog group={group} agents={agents} onSaved={list.reload} onClose={close} />}
    >
      {(edit) => (
        <div className="card">
          <ListTable name={m.groups} columns={[m.name, m.systemPrompt, m.agents]} list={list} empty={m.noGroups}>
            {list.entries?.map((group) => (
              <tr key={group.id}>
                <th scope="row">
                  {group.icon} {group.name}
                </th>
                <td className="dim wide prompt">
                  <p title={group.systemPrompt}>{group.systemPrompt}</p>
                </td>
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
                      <RowActions
                        name={group.name}
                        path={`/groups/${group.id}`}
                        consequence={m.deleteGroup}
                        onEdit={() => edit(group)}
                        onDeleted={list.reload}
                      />
                    )}
                  </span>
                </td>
              </tr>
            ))}
          </ListTable>
        </div>
      )}
    </ListPage>
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
  const body = (): GroupFields => ({
    name: name.trim(),
    ...textMember('icon', icon),
    ...(prompt.trim() !== '' && { systemPrompt: prompt }),
    ...(chosen.length > 0 && { defaultAgentIds: [...chosen] }),
  })
  return (
    <EntityDialog
      path="/groups"
      entity={group}
      newTitle={m.newGroup}
      isReady={name.trim() !== ''}
      body={body}
      onSaved={onSaved}
      onClose={onClose}
    >
      <TextField label={m.name} required maxLength={200} value={name} onChange={setName} />
      <TextField label={m.icon} maxLength={16} value={icon} onChange={setIcon} />
      <TextArea label={m.systemPrompt} rows={4} value={prompt} onChange={setPrompt} />
      {agents.length > 0 && <Checks label={m.agents} entries={agents} chosen={chosen} onChange={setChosen} />}
    </EntityDialog>
  )
}
