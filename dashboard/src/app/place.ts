import { type MouseEvent, useSyncExternalStore } from 'react'

import { formatAddress, type ListFilters, type Place, parseAddress, type SessionView } from './address'
import { base, pathBelow } from './base'
import type { PageOptions } from './more-address'

function here(): Place {
  return parseAddress(pathBelow(base, location.pathname), location.search)
}

/** The address of a place, with the server's base path. */
export function addressOf(place: Place): string {
  return base + formatAddress(place)
}

let place = here()
const listeners = new Set<() => void>()

function moved(): void {
  place = here()
  for (const listener of [...listeners]) listener()
}
addEventListener('popstate', moved)

export function currentPlace(): Place {
  return place
}

/** Navigates to a place: adds an entry to the browser's history. */
export function goTo(next: Place): void {
  const address = addressOf(next)
  if (address !== location.pathname + location.search) history.pushState(null, '', address)
  moved()
}

/** Updates the address with a change on this page, without a new entry in the history. */
function adjust(next: Place): void {
  history.replaceState(null, '', addressOf(next))
  moved()
}

export function adjustFilters(change: Partial<ListFilters>): void {
  if (place.page === 'sessions' || place.page === 'session')
    adjust({ ...place, filters: { ...place.filters, ...change } })
}

export function adjustView(change: Partial<SessionView>): void {
  if (place.page === 'session') adjust({ ...place, view: { ...place.view, ...change } })
}

/** Changes what one of the pages beside the list and the runs shows; an empty option is left out. */
export function adjustOptions(change: PageOptions): void {
  if ('options' in place) adjust({ ...place, options: { ...place.options, ...change } })
}

/** As `adjustView`, but with a new entry in the history. */
export function stepView(change: Partial<SessionView>): void {
  if (place.page === 'session') goTo({ ...place, view: { ...place.view, ...change } })
}

/** Calls `listener` when the user navigates back or forward, until the returned function is called. */
export function onReturn(listener: () => void): () => void {
  addEventListener('popstate', listener)
  return () => removeEventListener('popstate', listener)
}

/** Calls `listener` whenever the address has changed, until the returned function is called. */
export function onPlace(listener: () => void): () => void {
  listeners.add(listener)
  return () => listeners.delete(listener)
}

export function usePlace(): Place {
  return useSyncExternalStore(onPlace, () => place)
}

/** The properties of a link that navigates within the page, and opens a new tab if the user asks for that. */
export function linkTo(next: Place): { href: string; onClick: (event: MouseEvent) => void } {
  return {
    href: addressOf(next),
    onClick: (event) => {
      if (event.button !== 0 || event.metaKey || event.ctrlKey || event.shiftKey || event.altKey) return
      event.preventDefault()
      goTo(next)
    },
  }
}
