import type { Key, KeyPage } from '@relive/types'
import { useCallback, useEffect, useState } from 'react'

import { roles, rolesToGive } from '../access/may'
import { useMe } from '../access/me'
import { get, query } from '../api/http'
import { ago, millis, moment } from '../format/time'
import { useText } from '../i18n/text'
import { useTitle } from '../inbox/use-inbox'
import { reasonOf } from '../session/steering'
import { AppBar } from '../ui/app-bar'
import { Icon } from '../ui/icon'
import { NewKeyDialog } from './new-key-dialog'
import { RevokeDialog } from './revoke-dialog'
import { keyState } from './state'

interface Listed {
  readonly keys: readonly Key[]
  readonly cursor: string | undefined
}

/** The keys of the project: when each was last used, creating and revoking them. */
export function KeysPage() {
  const t = useText()
  const [listed, setListed] = useState<Listed>()
  const [error, setError] = useState<string>()
  const [isMaking, setMaking] = useState(false)
  const [revoking, setRevoking] = useState<Key>()
  const read = useCallback(async (after?: Listed) => {
    try {
      const page = await get<KeyPage>(`/keys${query({ limit: 200, cursor: after?.cursor })}`)
      setListed({ keys: [...(after?.keys ?? []), ...page.keys], cursor: page.nextCursor })
      setError(undefined)
    } catch (cause) {
      setError(reasonOf(cause))
    }
  }, [])
  useTitle(t.keysPage)
  useEffect(() => void read(), [read])
  return (
    <div className="sessions-page">
      <AppBar>
        <h1 className="page-title">{t.keysPage}</h1>
        <span className="grow" />
        <button type="button" className="primary" onClick={() => setMaking(true)}>
          <Icon name="plus" />
          {t.newKey}
        </button>
      </AppBar>
      <main id="content" tabIndex={-1} className="keys">
        {error !== undefined && (
          <p className="error-line" role="alert">
            {error}
          </p>
        )}
        {listed === undefined && error === undefined && <p className="faint">{t.loading}</p>}
        {listed !== undefined && (
          <div className="keys-table scroll" tabIndex={0} role="region" aria-label={t.keysPage}>
            <table>
              <thead>
                <tr>
                  {(['name', 'role', 'key', 'created', 'lastUsed', 'state'] as const).map((column) => (
                    <th key={column} scope="col">
                      {t.keyColumns[column]}
                    </th>
                  ))}
                  <th scope="col">
                    <span className="visually-hidden">{t.revoke}</span>
                  </th>
                </tr>
              </thead>
              <tbody>
                {listed.keys.map((key) => (
                  <KeyRow key={key.id} value={key} onRevoke={() => setRevoking(key)} />
                ))}
              </tbody>
            </table>
            {listed.keys.length === 0 && <p className="empty">{t.noKeys}</p>}
            {listed.cursor !== undefined && (
              <button type="button" onClick={() => void read(listed)}>
                {t.moreKeys}
              </button>
            )}
          </div>
        )}
      </main>
      {isMaking && <NewKeyDialog onMade={() => void read()} onClose={() => setMaking(false)} />}
      {revoking !== undefined && (
        <RevokeDialog value={revoking} onRevoked={() => void read()} onClose={() => setRevoking(undefined)} />
      )}
    </div>
  )
}

function KeyRow({ value, onRevoke }: { value: Key; onRevoke: () => void }) {
  const t = useText()
  const me = useMe()
  const now = Date.now()
  const state = keyState(value, now)
  const role = roles.find((known) => known === value.role)
  const { lastUsedAt } = value
  return (
    <tr className={state === 'valid' ? undefined : 'over'}>
      <th scope="row">{value.name}</th>
      <td>{role === undefined ? value.role : t.role[role]}</td>
      <td className="mono">{value.prefix}…</td>
      <td>{moment(value.createdAt, now, t.locale)}</td>
      <td>{lastUsedAt === undefined ? t.neverUsed : ago(now - millis(lastUsedAt), t.locale)}</td>
      <td>
        {state === 'valid' && value.expiresAt !== undefined
          ? t.validUntil(moment(value.expiresAt, now, t.locale))
          : t.keyState[state]}
      </td>
      <td>
        {state !== 'revoked' && role !== undefined && rolesToGive(me).includes(role) && (
          <button type="button" aria-label={t.revokeKey(value.name)} onClick={onRevoke}>
            {t.revoke}
          </button>
        )}
      </td>
    </tr>
  )
}
