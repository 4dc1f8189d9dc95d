import { type FormEvent, useState } from 'react'

import { type ListFilters, parseAddress } from '../app/address'
import { base } from '../app/base'
import { useKept } from '../app/kept'
import { linkTo } from '../app/place'
import { useText } from '../i18n/text'
import { CopyButton } from '../ui/copy-button'
import { Icon } from '../ui/icon'
import { Popover } from '../ui/popover'
import { addressOfView, nameAtMost, type SavedView, savedViews, withView } from './views'

export function placeOfView({ address }: SavedView) {
  const { pathname, search } = new URL(address, 'http://relive')
  return parseAddress(pathname, search)
}

/** The views that are kept in this browser: opened, sent, removed; and what is shown now is saved. */
export function ViewsMenu({ filters }: { filters: ListFilters }) {
  const t = useText()
  const views = useKept(savedViews)
  const [name, setName] = useState('')
  const shown = addressOfView(filters)
  const save = (event: FormEvent) => {
    event.preventDefault()
    savedViews.set(withView(views, { name, address: shown }))
    setName('')
  }
  return (
    <Popover
      className="quiet"
      content={(close) => (
        <div className="popover-body views">
          <h2>{t.views}</h2>
          {views.length === 0 && <p className="faint">{t.noViews}</p>}
          <ul aria-label={t.views}>
            {views.map((view) => {
              const link = linkTo(placeOfView(view))
              return (
                <li key={view.name}>
                  <a
                    className="grow"
                    aria-current={view.address === shown ? 'page' : undefined}
                    href={link.href}
                    onClick={(event) => {
                      link.onClick(event)
                      close()
                    }}
                  >
                    {view.name}
                  </a>
                  <CopyButton text={location.origin + base + view.address} label={t.copyLink} />
                  <button
                    type="button"
                    className="quiet"
                    aria-label={t.removeView(view.name)}
                    title={t.removeView(view.name)}
                    onClick={() => savedViews.set(views.filter((other) => other !== view))}
                  >
                    <Icon name="close" />
                  </button>
                </li>
              )
            })}
          </ul>
          <form onSubmit={save}>
            <input
              aria-label={t.viewName}
              placeholder={t.viewName}
              maxLength={nameAtMost}
              value={name}
              onChange={(event) => setName(event.target.value)}
            />
            <button type="submit" disabled={name.trim() === ''}>
              {t.saveView}
            </button>
          </form>
        </div>
      )}
    >
      {t.views}
    </Popover>
  )
}
