import { useEffect, useState } from 'react'

import type { Link } from '../app/link'
import { useText } from '../i18n/text'

/** The connection state. Always visible, and always as text. */
export function ConnectionBadge({ link, word = 'live' }: { link: Link; word?: 'live' | 'connected' | 'replayed' }) {
  const t = useText()
  const { connection, lostAt } = link
  const isOpen = connection.state === 'open'
  const now = useSeconds(!isOpen)
  if (isOpen)
    return (
      <span className={`connection open ${word}`} role="status">
        {t[word]}
      </span>
    )
  if (connection.state === 'closed') {
    return (
      <span className="connection lost" role="status" title={connection.error?.message}>
        {t.connectionClosed}
      </span>
    )
  }
  if (lostAt === undefined)
    return (
      <span className="connection" role="status">
        {t.connecting}
      </span>
    )
  const seconds = Math.max(0, Math.floor((now - lostAt) / 1000))
  const wait = connection.retryAt === undefined ? 0 : Math.max(0, Math.ceil((connection.retryAt - now) / 1000))
  return (
    <span className="connection lost" title={t.retryIn(wait)}>
      {/* Said once and not every second; the seconds are for the eye. */}
      <span className="visually-hidden" role="status">
        {t.reconnecting}
      </span>
      <span aria-hidden="true" className="num">
        {t.connectionLost(seconds)}
      </span>
    </span>
  )
}

function useSeconds(isCounting: boolean): number {
  const [now, setNow] = useState(Date.now)
  useEffect(() => {
    if (!isCounting) return
    setNow(Date.now())
    const timer = setInterval(() => setNow(Date.now()), 500)
    return () => clearInterval(timer)
  }, [isCounting])
  return now
}
