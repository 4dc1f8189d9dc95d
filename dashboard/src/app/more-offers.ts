import { may, type Offer } from '../access/may'
import { access } from '../access/me'
import { useStore } from '../store/use-store'
import type { Place } from './address'
import { type MorePage, morePages } from './more-address'

/** What one has to be allowed to open a page; a comparison is of two runs, of which the server decides. */
export const pageOffers: Record<MorePage, Offer | undefined> = {
  overview: 'readStatistics',
  workflows: 'readCatalog',
  agents: 'readCatalog',
  groups: 'readCatalog',
  memories: 'readCatalog',
  schedules: 'administer',
  webhooks: 'administer',
  alerts: 'administer',
  retention: 'administer',
  compare: undefined,
}

/** Whether the caller may see what is at a place of these; every other place is not decided here. */
export function useMayOpen(place: Place): boolean {
  return useStore(access, ({ me }) => {
    const offer = 'options' in place ? pageOffers[place.page] : undefined
    return offer === undefined || may(me, offer)
  })
}

/** The pages that can be opened without a choice of runs, and that the caller may see. */
export function useOpenPages(): readonly MorePage[] {
  const names = useStore(access, ({ me }) =>
    morePages
      .filter((name) => {
        const offer = pageOffers[name]
        return offer !== undefined && may(me, offer)
      })
      .join(' '),
  )
  return morePages.filter((name) => names.split(' ').includes(name))
}
