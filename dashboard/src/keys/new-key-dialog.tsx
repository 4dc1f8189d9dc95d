import type { CreatedKey, CreateKey } from '@relive/types'
import { type FormEvent, useState } from 'react'

import { type Role, rolesToGive } from '../access/may'
import { useMe } from '../access/me'
import { request } from '../api/http'
import { useText } from '../i18n/text'
import { reasonOf } from '../session/steering'
import { Dialog } from '../ui/dialog'
import { SecretField } from '../ui/secret-field'

const day = 24 * 60 * 60 * 1000
/** Days after which a key expires; 0: never. */
const lifetimes = [30, 90, 365, 0] as const

/** Creates a key, and shows it: the only time that it can be seen. */
export function NewKeyDialog({ onMade, onClose }: { onMade: () => void; onClose: () => void }) {
  const t = useText()
  const me = useMe()
  const [name, setName] = useState('')
  const [role, setRole] = useState<Role>('viewer')
  const [days, setDays] = useState<number>(lifetimes[1])
  const [made, setMade] = useState<CreatedKey>()
  const [error, setError] = useState<string>()
  const [isBusy, setBusy] = useState(false)
  const submit = async (event: FormEvent) => {
    event.preventDefault()
    setBusy(true)
    setError(undefined)
    try {
      const expiresAt = new Date(Date.now() + days * day).toISOString()
      const body: CreateKey = { name: name.trim(), role, ...(days > 0 && { expiresAt }) }
      setMade(await request<CreatedKey>('POST', '/keys', { body }))
      onMade()
    } catch (cause) {
      setError(reasonOf(cause))
      setBusy(false)
    }
  }
  if (made !== undefined) {
    return (
      <Dialog title={t.newKey} onClose={onClose}>
        <p>{t.keyShownOnce}</p>
        <SecretField label={made.name} value={made.key ?? ''} />
        <div className="buttons end">
          <button type="button" className="primary" onClick={onClose}>
            {t.keyIsKept}
          </button>
        </div>
      </Dialog>
    )
  }
  return (
    <Dialog title={t.newKey} onClose={onClose}>
      <form className="start-form" onSubmit={(event) => void submit(event)}>
        <label>
          {t.keyName}
          <input
            required
            maxLength={200}
            value={name}
            placeholder={t.keyNameHint}
            onChange={(event) => setName(event.target.value)}
          />
        </label>
        <label>
          {t.roleLabel}
          <select value={role} onChange={(event) => setRole(event.target.value as Role)}>
            {rolesToGive(me).map((known) => (
              <option key={known} value={known}>
                {t.role[known]}
              </option>
            ))}
          </select>
          <span className="faint hint">{t.roleHint[role]}</span>
        </label>
        <label>
          {t.validFor}
          <select value={days} onChange={(event) => setDays(Number(event.target.value))}>
            {lifetimes.map((lifetime) => (
              <option key={lifetime} value={lifetime}>
                {lifetime === 0 ? t.unlimited : t.lifetime(lifetime * 24)}
              </option>
            ))}
          </select>
        </label>
        {error !== undefined && (
          <p className="error-line" role="alert">
            {error}
          </p>
        )}
        <div className="buttons end">
          <button type="button" onClick={onClose}>
            {t.cancelDialog}
          </button>
          <button type="submit" className="primary" disabled={isBusy || name.trim() === ''}>
            {t.createKey}
          </button>
        </div>
      </form>
    </Dialog>
  )
}
