import { ReliveError } from '@relive/types'
import { type FormEvent, useEffect, useState } from 'react'

import { base } from '../app/base'
import { useText } from '../i18n/text'
import { reasonOf } from '../session/steering'
import { useStore } from '../store/use-store'
import { AppBar } from '../ui/app-bar'
import { access, choose, exchange } from './me'

/** Shown to a caller without a valid credential. */
export function SignInPage() {
  const t = useText()
  const { hasProvider, isLinkInvalid } = useStore(access, (state) => state)
  const [token, setToken] = useState('')
  const [error, setError] = useState<string>()
  const [isBusy, setBusy] = useState(false)
  useEffect(() => {
    document.title = `${t.signIn} · Relive`
  }, [t])
  const submit = async (event: FormEvent) => {
    event.preventDefault()
    setBusy(true)
    setError(undefined)
    try {
      await exchange(token.trim())
      // The page before may have belonged to another user.
      location.reload()
    } catch (cause) {
      const isRefused = cause instanceof ReliveError && cause.code === 'unauthorized'
      setError(isRefused ? t.signInRefused : reasonOf(cause))
      setBusy(false)
    }
  }
  const returnTo = new URLSearchParams({ returnTo: location.pathname + location.search })
  return (
    <div className="sign-in-page">
      <AppBar>
        <span className="grow" />
      </AppBar>
      <main id="content" className="sign-in" tabIndex={-1}>
        <h1>{t.signIn}</h1>
        {isLinkInvalid && <p role="alert">{t.linkInvalid}</p>}
        {hasProvider && (
          <>
            <a className="button primary" href={`${base}/api/v1/sign-in/begin?${returnTo.toString()}`}>
              {t.signInWithProvider}
            </a>
            <p className="faint">{t.orWithKey}</p>
          </>
        )}
        <form onSubmit={(event) => void submit(event)}>
          <label>
            {t.keyOrToken}
            <input
              type="password"
              name="token"
              autoComplete="current-password"
              spellCheck={false}
              required
              value={token}
              onChange={(event) => setToken(event.target.value)}
            />
          </label>
          {error !== undefined && (
            <p className="error-line" role="alert">
              {error}
            </p>
          )}
          <button
            type="submit"
            className={hasProvider ? undefined : 'primary'}
            disabled={isBusy || token.trim() === ''}
          >
            {t.signIn}
          </button>
        </form>
        <p className="faint">{t.keyHint}</p>
      </main>
    </div>
  )
}

/** A share link was opened by a user who is signed in. */
export function ShareChoice() {
  const t = useText()
  const me = useStore(access, (state) => state.me)
  const [isBusy, setBusy] = useState(false)
  const decide = (asGuest: boolean) => {
    setBusy(true)
    void choose(asGuest)
  }
  return (
    <div className="sign-in-page">
      <AppBar>
        <span className="grow" />
      </AppBar>
      <main id="content" className="sign-in" tabIndex={-1}>
        <h1>{t.sharedWithYou}</h1>
        <p>{t.signedInAs(me?.actor?.name ?? '')}</p>
        <button type="button" className="primary" disabled={isBusy} onClick={() => decide(false)}>
          {t.staySignedIn}
        </button>
        <button type="button" disabled={isBusy} onClick={() => decide(true)}>
          {t.goOnAsGuest}
        </button>
      </main>
    </div>
  )
}
