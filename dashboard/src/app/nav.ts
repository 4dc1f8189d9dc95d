import type { Offer } from '../access/may'
import type { Text } from '../i18n/en'
import { noFilters, type Place } from './address'
import { type MorePage, morePages } from './more-address'
import { offers } from './more-offers'

export interface NavEntry {
  readonly place: Place
  readonly label: (t: Text) => string
  /** Only for those who may. */
  readonly offer?: Offer
}

/** Those that can be opened without a choice of runs. */
function entriesOf(pages: readonly MorePage[]): readonly NavEntry[] {
  return pages.flatMap((page) => {
    const offer = offers[page]
    return offer === undefined ? [] : [{ place: { page, options: {} }, label: (t: Text) => t.pages[page], offer }]
  })
}

/** The pages of the menu, in its order, and of the palette. */
export const navEntries: readonly NavEntry[] = [
  { place: { page: 'sessions', filters: noFilters }, label: (t) => t.sessions },
  { place: { page: 'inbox' }, label: (t) => t.inbox, offer: 'review' },
  ...entriesOf(morePages),
  { place: { page: 'keys' }, label: (t) => t.keysPage, offer: 'manageKeys' },
  { place: { page: 'audit' }, label: (t) => t.auditPage, offer: 'readAudit' },
]
