import type { ReactNode } from 'react'

import { Account } from '../access/account'
import { noFilters } from '../app/address'
import { linkTo, usePlace } from '../app/place'
import { useText } from '../i18n/text'
import { waiting } from '../inbox/waiting'
import { useStore } from '../store/use-store'
import { LookButtons } from './look-buttons'
import { NavMenu } from './nav-menu'

/** Leads to what waits for somebody, if anything does. */
function InboxLink() {
  const t = useText()
  const count = useStore(waiting, ({ sessions }) => sessions.length)
  const place = usePlace()
  if (count === 0 && place.page !== 'inbox') return null
  return (
    <a
      className="button quiet inbox-count num"
      aria-current={place.page === 'inbox' ? 'page' : undefined}
      {...linkTo({ page: 'inbox' })}
    >
      {t.inbox}
      {count > 0 && <b>{count}</b>}
    </a>
  )
}

/** The bar at the top of every page: the logo, the content of the page, and the global controls. */
export function AppBar({ children }: { children: ReactNode }) {
  const t = useText()
  return (
    <header className="app-bar">
      {/* biome-ignore lint/a11y/useAriaPropsSupportedByRole: a link, whose `href` is in `linkTo`. */}
      <a className="mark" aria-label={`Relive: ${t.sessions}`} {...linkTo({ page: 'sessions', filters: noFilters })}>
        re<i>live</i>
      </a>
      <NavMenu />
      {children}
      <span className="app-bar-end">
        <InboxLink />
        <Account />
        <LookButtons />
      </span>
    </header>
  )
}
