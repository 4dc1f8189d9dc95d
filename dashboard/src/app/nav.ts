import type { Offer } from '../access/may'
import type { Text } from '../i18n/en'
import { noFilters, type Place } from './address'
import { morePages } from './more-address'
import { pageOffers } from './more-offers'

export interface NavEntry {
  readonly place: Place
  readonly label: (t: Text) => string
  /** Only for those who may. */
  readonly offer?: Offer
}

/** The pages of the menu, in its order, and of the palette. */
export const navEntries: readonly NavEntry[] = [
  { place: { page: 'sessions', filters: noFilters }, label: (t) => t.sessions },
  { place: { page: 'inbox' }, label: (t) => t.inbox, offer: 'review' },
  ...morePages.flatMap((page): NavEntry[] => {
    const offer = pageOffers[page]
    // A comparison begins with a run.
    return offer === undefined ? [] : [{ place: { page, options: {} }, label: (t) => t.pages[page], offer }]
  }),
  { place: { page: 'keys' }, label: (t) => t.keysPage, offer: 'manageKeys' },
  { place: { page: 'audit' }, label: (t) => t.auditPage, offer: 'readAudit' },
]
