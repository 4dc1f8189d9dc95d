import { useEffect, useRef } from 'react'

import { useMay } from '../access/me'
import { useOpenPages } from '../app/more-offers'
import { linkTo, usePlace } from '../app/place'
import { useText } from '../i18n/text'

/** The pages that are about more than one run, as a row above their content. */
export function PageNav() {
  const t = useText()
  const place = usePlace()
  const open = useOpenPages()
  const mayManageKeys = useMay('manageKeys')
  const mayReadAudit = useMay('readAudit')
  const current = (page: string) => (place.page === page ? 'page' : undefined)
  const row = useRef<HTMLElement>(null)
  // On a phone not all of them are in view.
  useEffect(() => {
    row.current?.querySelector('[aria-current]')?.scrollIntoView({ block: 'nearest', inline: 'nearest' })
  }, [place.page])
  return (
    <nav ref={row} className="page-nav scroll" aria-label={t.pagesLabel}>
      {open.map((page) => (
        <a key={page} aria-current={current(page)} {...linkTo({ page, options: {} })}>
          {t.pages[page]}
        </a>
      ))}
      {mayManageKeys && (
        <a aria-current={current('keys')} {...linkTo({ page: 'keys' })}>
          {t.keysPage}
        </a>
      )}
      {mayReadAudit && (
        <a aria-current={current('audit')} {...linkTo({ page: 'audit' })}>
          {t.auditPage}
        </a>
      )}
    </nav>
  )
}
