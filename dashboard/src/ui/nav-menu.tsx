import { may } from '../access/may'
import { useMe } from '../access/me'
import { navEntries } from '../app/nav'
import { linkTo, usePlace } from '../app/place'
import { openShell } from '../app/shell'
import { useText } from '../i18n/text'
import { Icon } from './icon'
import { LookButtons } from './look-buttons'
import { Popover } from './popover'

/** Leads to every page, and to the palette and the list of keys. */
export function NavMenu() {
  const t = useText()
  return (
    <Popover className="quiet nav-button" label={t.menu} content={(close) => <Entries close={close} />}>
      <Icon name="menu" />
    </Popover>
  )
}

function Entries({ close }: { close: () => void }) {
  const t = useText()
  const me = useMe()
  const here = usePlace()
  const open = (what: 'palette' | 'shortcuts') => () => {
    close()
    openShell(what)
  }
  return (
    <nav className="popover-body nav-menu" aria-label={t.menu}>
      {navEntries
        .filter(({ offer }) => offer === undefined || may(me, offer))
        .map(({ place, label }) => {
          const link = linkTo(place)
          return (
            <a
              key={place.page}
              aria-current={here.page === place.page ? 'page' : undefined}
              href={link.href}
              onClick={(event) => {
                link.onClick(event)
                close()
              }}
            >
              {label(t)}
            </a>
          )
        })}
      <button type="button" className="quiet" onClick={open('palette')}>
        {t.paletteTitle} <kbd>Ctrl K</kbd>
      </button>
      <button type="button" className="quiet" onClick={open('shortcuts')}>
        {t.shortcuts} <kbd>?</kbd>
      </button>
      <span className="nav-look">
        <LookButtons />
      </span>
    </nav>
  )
}
