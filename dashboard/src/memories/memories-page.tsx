import type { Agent, AgentPage, FoundMemories, Memory, MemoryPage, SearchMemories } from '@relive/types'
import { type FormEvent, useEffect, useId, useState } from 'react'

import { useMay } from '../access/me'
import { query, request } from '../api/http'
import { noFilters, plainView } from '../app/address'
import type { PageOptions } from '../app/more-address'
import { adjustOptions, linkTo } from '../app/place'
import { ValueView } from '../context/value-view'
import { moment } from '../format/time'
import { useText } from '../i18n/text'
import { DeleteButton } from '../more/delete-button'
import { PageFrame } from '../more/page-frame'
import { useMoreText } from '../more/text'
import { usePaged } from '../more/use-read'
import { reasonOf } from '../session/steering'
import { catalog, loadCatalog } from '../sessions/catalog'
import { useStore } from '../store/use-store'

/** As at the server. */
const foundAtMost = 100
const scores = ['0.3', '0.5', '0.7', '0.8', '0.9'] as const
const sessionPattern = /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/i

/** Memories: by time, of all, of a group, an agent or a run; or those nearest to a text, with how near they are. */
export function MemoriesPage({ options }: { options: PageOptions }) {
  const t = useText()
  const m = useMoreText()
  const { text = '', group = '', agent = '', session = '', score = '' } = options
  const agents = usePaged<AgentPage, Agent>('/agents', (page) => page.agents).entries ?? []
  const agentList = useId()
  const groups = useStore(catalog, (state) => state.groups)
  const [wanted, setWanted] = useState({ text, agent, session })
  const [turn, setTurn] = useState(0)
  useEffect(() => void loadCatalog(), [])
  const submit = (event: FormEvent) => {
    event.preventDefault()
    adjustOptions({ text: wanted.text.trim(), agent: wanted.agent.trim(), session: wanted.session.trim() })
    setTurn(turn + 1)
  }
  const isSession = sessionPattern.test(session)
  const names: Names = (id) => agents.find((each) => each.id === id)?.name ?? id
  return (
    <PageFrame title={m.memories} error={session !== '' && !isSession ? m.noSessionId : undefined}>
      <form className="filter-bar" role="search" onSubmit={submit}>
        <input
          type="search"
          className="find"
          aria-label={m.findMemories}
          placeholder={m.findMemories}
          maxLength={8000}
          value={wanted.text}
          onChange={(event) => setWanted({ ...wanted, text: event.target.value })}
        />
        <select aria-label={t.group} value={group} onChange={(event) => adjustOptions({ group: event.target.value })}>
          <option value="">{t.allGroups}</option>
          {group !== '' && !groups.some(({ id }) => id === group) && <option value={group}>…{group.slice(-8)}</option>}
          {groups.map(({ id, name }) => (
            <option key={id} value={id}>
              {name}
            </option>
          ))}
        </select>
        <input
          className="short"
          aria-label={m.agentId}
          placeholder={m.agentId}
          maxLength={200}
          list={agentList}
          value={wanted.agent}
          onChange={(event) => setWanted({ ...wanted, agent: event.target.value })}
        />
        <input
          className="short"
          aria-label={m.sessionId}
          placeholder={m.sessionId}
          maxLength={36}
          spellCheck={false}
          value={wanted.session}
          onChange={(event) => setWanted({ ...wanted, session: event.target.value })}
        />
        <datalist id={agentList}>
          {agents.map(({ id, name }) => (
            <option key={id} value={id}>
              {name}
            </option>
          ))}
        </datalist>
        <select
          aria-label={m.leastScore}
          value={score}
          onChange={(event) => adjustOptions({ score: event.target.value })}
        >
          <option value="">{m.anyScore}</option>
          {scores.map((least) => (
            <option key={least} value={least}>
              {m.scoreFrom(least)}
            </option>
          ))}
        </select>
        <button type="submit" className="primary">
          {m.search}
        </button>
      </form>
      <div className="more-body scroll" tabIndex={0} role="region" aria-label={m.memories}>
        {text === '' && isSession && (
          <Listed
            key={turn}
            path={`/sessions/${session}/memories${query({ agentId: agent })}`}
            first="oldest"
            names={names}
          />
        )}
        {text === '' && session === '' && (
          <Listed
            key={turn}
            path={`/memories${query({ groupId: group, agentId: agent })}`}
            first="newest"
            names={names}
          />
        )}
        {text !== '' && (
          <Found
            key={turn}
            names={names}
            asked={{
              text,
              limit: foundAtMost,
              ...(scores.some((least) => least === score) && { minScore: Number(score) }),
              ...(group !== '' && { groupId: group }),
              ...(agent !== '' && { agentId: agent }),
              ...(isSession && { sessionId: session }),
            }}
          />
        )}
      </div>
    </PageFrame>
  )
}

/** What an agent is called. */
type Names = (agentId: string) => string

interface ListedProps {
  path: string
  /** Which of them the server lists first. */
  first: 'oldest' | 'newest'
  names: Names
}

/** Memories in the order of time, by pages. */
function Listed({ path, first, names }: ListedProps) {
  const t = useText()
  const m = useMoreText()
  const { entries, error, hasMore, more, reload } = usePaged<MemoryPage, Memory>(path, (page) => page.memories)
  if (error !== undefined) return <p className="error-line">{error}</p>
  if (entries === undefined) return <p className="faint">{t.loading}</p>
  return (
    <>
      {entries.length === 0 && <p className="card empty">{m.noMemories}</p>}
      {entries.length > 0 && (
        <p className="dim" role="status">
          {m.listedMemories(entries.length, hasMore, first)}
        </p>
      )}
      <Memories memories={entries} names={names} onDeleted={reload} />
      {hasMore && (
        <button type="button" className="quiet" onClick={more}>
          {m.moreMemories[first]}
        </button>
      )}
    </>
  )
}

function Found({ asked, names }: { asked: SearchMemories; names: Names }) {
  const t = useText()
  const m = useMoreText()
  const [found, setFound] = useState<FoundMemories>()
  const [error, setError] = useState<string>()
  const body = JSON.stringify(asked)
  useEffect(() => {
    const controller = new AbortController()
    const search = async () => {
      try {
        const { signal } = controller
        const answer = await request<FoundMemories>('POST', '/memories/search', { body: JSON.parse(body), signal })
        setError(undefined)
        setFound(answer)
      } catch (cause) {
        if (!controller.signal.aborted) setError(reasonOf(cause))
      }
    }
    void search()
    return () => controller.abort()
  }, [body])
  const remove = (id: string) =>
    setFound((before) => before && { ...before, memories: before.memories.filter((memory) => memory.id !== id) })
  if (error !== undefined) return <p className="error-line">{error}</p>
  if (found === undefined) return <p className="faint">{t.loading}</p>
  return (
    <>
      <p className="dim" role="status">
        {m.foundMemories(found.memories.length, found.method)}
      </p>
      {found.memories.length === foundAtMost && <p className="faint">{m.mostMemories(foundAtMost)}</p>}
      <Memories memories={found.memories} names={names} onDeleted={remove} />
    </>
  )
}

interface MemoriesProps {
  memories: readonly Memory[]
  names: Names
  onDeleted(id: string): void
}

function Memories({ memories, names, onDeleted }: MemoriesProps) {
  const t = useText()
  const m = useMoreText()
  const mayDelete = useMay('administer')
  return (
    <ol className="memory-list" aria-label={m.memories}>
      {memories.map((memory) => (
        <li key={memory.id} className="card memory">
          {memory.score !== undefined && (
            <p className="score num" title={m.scoreHint}>
              <span aria-hidden="true" className="score-bar">
                <i style={{ width: `${Math.max(0, Math.min(1, memory.score)) * 100}%` }} />
              </span>
              {m.scored(memory.score.toFixed(3))}
            </p>
          )}
          <p dir="auto" className="memory-text">
            {memory.content}
          </p>
          {memory.metadata !== undefined && memory.metadata !== null && <ValueView value={memory.metadata} />}
          <div className="memory-foot faint num">
            <time dateTime={memory.createdAt}>{moment(memory.createdAt, Date.now(), t.locale)}</time>
            {memory.agentId !== undefined && <span>{names(memory.agentId)}</span>}
            {memory.sessionId !== undefined && (
              <a
                className="figure-link"
                {...linkTo({ page: 'session', sessionId: memory.sessionId, filters: noFilters, view: plainView })}
              >
                {t.session} …{memory.sessionId.slice(-6)}
              </a>
            )}
            {!memory.embedded && <span>{m.notEmbedded}</span>}
            <span className="grow" />
            {mayDelete && (
              <DeleteButton
                name={memory.content.slice(0, 40)}
                path={`/memories/${memory.id}`}
                consequence={m.deleteMemory}
                onDeleted={() => onDeleted(memory.id)}
              />
            )}
          </div>
        </li>
      ))}
    </ol>
  )
}
