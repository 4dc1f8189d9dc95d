import type { CreatedToken, CreateToken } from '@relive/types'
import { type FormEvent, useState } from 'react'

import { request } from '../api/http'
import { noFilters, plainView } from '../app/address'
import { addressOf } from '../app/place'
import { moment } from '../format/time'
import { useText } from '../i18n/text'
import { reasonOf } from '../session/steering'
import { Dialog } from '../ui/dialog'
import { SecretField } from '../ui/secret-field'
import { shareLink } from './fragment'

const hour = 3600
const lifetimes = [hour, 24 * hour, 7 * 24 * hour] as const

/** Creates a link by which anybody can watch this session, and nothing else. */
export function ShareDialog({ sessionId, onClose }: { sessionId: string; onClose: () => void }) {
  const t = useText()
  const [seconds, setSeconds] = useState<number>(lifetimes[1])
  const [given, setGiven] = useState<CreatedToken>()
  const [error, setError] = useState<string>()
  const [isBusy, setBusy] = useState(false)
  const submit = async (event: FormEvent) => {
    event.preventDefault()
    setBusy(true)
    setError(undefined)
    try {
      const body: CreateToken = { scopes: [`read:sessions:${sessionId}`], expiresInSeconds: seconds }
      setGiven(await request<CreatedToken>('POST', '/tokens', { body }))
    } catch (cause) {
      setError(reasonOf(cause))
      setBusy(false)
    }
  }
  if (given !== undefined) {
    const page = location.origin + addressOf({ page: 'session', sessionId, filters: noFilters, view: plainView })
    return (
      <Dialog title={t.shareTitle} onClose={onClose}>
        <p>{t.shareReady(moment(given.expiresAt, Date.now(), t.locale))}</p>
        <SecretField label={t.link} value={shareLink(page, given.token)} />
        <div className="buttons end">
          <button type="button" className="primary" onClick={onClose}>
            {t.close}
          </button>
        </div>
      </Dialog>
    )
  }
  return (
    <Dialog title={t.shareTitle} onClose={onClose}>
      <form className="start-form" onSubmit={(event) => void submit(event)}>
        <p>{t.shareIntro}</p>
        <label>
          {t.validFor}
          <select value={seconds} onChange={(event) => setSeconds(Number(event.target.value))}>
            {lifetimes.map((lifetime) => (
              <option key={lifetime} value={lifetime}>
                {t.lifetime(lifetime / hour)}
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
          <button type="submit" className="primary" disabled={isBusy}>
            {t.createLink}
          </button>
        </div>
      </form>
    </Dialog>
  )
}
