import type { AuditEntry, AuditPage as Page } from '@relive/types'
import { useCallback, useEffect, useState } from 'react'

import { get, query } from '../api/http'
import { moment } from '../format/time'
import { useText } from '../i18n/text'
import { useTitle } from '../inbox/use-inbox'
import { reasonOf } from '../session/steering'
import { AppBar } from '../ui/app-bar'

interface Listed {
  readonly entries: readonly AuditEntry[]
  readonly after: string | undefined
}

interface Filters {
  readonly actor: { readonly id: string; readonly name: string } | undefined
  readonly action: string
}

const outcomes = ['allowed', 'refused', 'failed'] as const
const pageSize = 100

/** Who did what to what, refusals included, the newest first. */
export function AuditPage() {
  const t = useText()
  const [listed, setListed] = useState<Listed>()
  const [error, setError] = useState<string>()
  const [filters, setFilters] = useState<Filters>({ actor: undefined, action: '' })
  const [wanted, setWanted] = useState('')
  const { actor, action } = filters
  const read = useCallback(
    async (signal: AbortSignal | undefined, before?: Listed) => {
      const asked = query({ order: 'desc', limit: pageSize, after: before?.after, actor: actor?.id, action })
      try {
        const page = await get<Page>(`/audit${asked}`, signal)
        if (signal?.aborted) return
        setListed({ entries: [...(before?.entries ?? []), ...page.entries], after: page.nextAfter })
        setError(undefined)
      } catch (cause) {
        if (!signal?.aborted) setError(reasonOf(cause))
      }
    },
    [actor?.id, action],
  )
  useTitle(t.auditPage)
  useEffect(() => {
    const controller = new AbortController()
    void read(controller.signal)
    return () => controller.abort()
  }, [read])
  return (
    <div className="sessions-page">
      <AppBar>
        <h1 className="page-title">{t.auditPage}</h1>
        <span className="grow" />
        {actor !== undefined && (
          <button type="button" className="pill" onClick={() => setFilters({ ...filters, actor: undefined })}>
            {t.everybodyInsteadOf(actor.name)}
          </button>
        )}
        <form
          onSubmit={(event) => {
            event.preventDefault()
            setFilters({ ...filters, action: wanted.trim() })
          }}
        >
          <input
            type="search"
            className="audit-action"
            aria-label={t.auditAction}
            placeholder={t.auditAction}
            value={wanted}
            maxLength={100}
            onChange={(event) => {
              setWanted(event.target.value)
              if (event.target.value === '') setFilters({ ...filters, action: '' })
            }}
          />
        </form>
      </AppBar>
      <main id="content" tabIndex={-1} className="keys">
        {error !== undefined && (
          <p className="error-line" role="alert">
            {error}
          </p>
        )}
        {listed === undefined && error === undefined && <p className="faint">{t.loading}</p>}
        {listed !== undefined && (
          <div className="keys-table scroll" tabIndex={0} role="region" aria-label={t.auditPage}>
            <table>
              <thead>
                <tr>
                  {(['time', 'who', 'action', 'resource', 'outcome', 'address'] as const).map((column) => (
                    <th key={column} scope="col">
                      {t.auditColumns[column]}
                    </th>
                  ))}
                </tr>
              </thead>
              <tbody>
                {listed.entries.map((entry) => (
                  <AuditRow
                    key={entry.id}
                    entry={entry}
                    onActor={(chosen) => setFilters({ ...filters, actor: chosen })}
                    onAction={(chosen) => {
                      setWanted(chosen)
                      setFilters({ ...filters, action: chosen })
                    }}
                  />
                ))}
              </tbody>
            </table>
            {listed.entries.length === 0 && <p className="empty">{t.noAudit}</p>}
            {listed.after !== undefined && (
              <button type="button" onClick={() => void read(undefined, listed)}>
                {t.moreAudit}
              </button>
            )}
          </div>
        )}
      </main>
    </div>
  )
}

interface AuditRowProps {
  entry: AuditEntry
  onActor: (actor: { id: string; name: string }) => void
  onAction: (action: string) => void
}

function AuditRow({ entry, onActor, onAction }: AuditRowProps) {
  const t = useText()
  const { actor } = entry
  const outcome = outcomes.find((known) => known === entry.outcome)
  const said = outcome === undefined ? entry.outcome : t.auditOutcome[outcome]
  return (
    <tr>
      <td>
        <time dateTime={entry.at} title={entry.at}>
          {moment(entry.at, Date.now(), t.locale)}
        </time>
      </td>
      <th scope="row">
        {actor === undefined ? (
          <span className="faint">{t.unknownActor}</span>
        ) : (
          <button
            type="button"
            className="link"
            title={`${t.actorKind[actor.kind]} ${actor.id}`}
            aria-label={t.onlyBy(actor.name)}
            onClick={() => onActor({ id: actor.id, name: actor.name })}
          >
            {actor.name}
          </button>
        )}
      </th>
      <td>
        <button
          type="button"
          className="link mono"
          aria-label={t.onlyAction(entry.action)}
          onClick={() => onAction(entry.action)}
        >
          {entry.action}
        </button>
      </td>
      <td className="mono audit-resource" title={entry.resource}>
        {entry.resource}
      </td>
      <td className={`outcome ${outcome ?? ''}`}>
        {said}
        {entry.repeated !== undefined && ` ×${entry.repeated}`}
      </td>
      <td className="mono">{entry.ip}</td>
    </tr>
  )
}
