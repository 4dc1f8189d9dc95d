import { type MouseEvent, useSyncExternalStore } from 'react'

import { formatAddress, type ListFilters, type Place, parseAddress, type SessionView } from './address'
import { base, pathBelow } from './base'

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

/** Goes somewhere else: a step that the browser's back button undoes. */
export function goTo(next: Place): void {
  const address = addressOf(next)
  if (address !== location.pathname + location.search) history.pushState(null, '', address)
  moved()
}

/** Writes into the address what has changed on this page, without a step back for each. */
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

/** As `adjustView`, but a step that the browser's back button undoes. */
export function stepView(change: Partial<SessionView>): void {
  if (place.page === 'session') goTo({ ...place, view: { ...place.view, ...change } })
}

/** Calls `listener` when the browser has gone back or forward, until the returned function is called. */
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

/** What a link needs to stay within the page, and to open a new tab where that is asked for. */
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
