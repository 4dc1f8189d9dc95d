import type { ReliveClient } from '../client.js'
import type { SessionFilters } from '../session-list.js'
import { ListStore } from './list-store.js'
import type { Place } from './place.js'
import { SessionStore } from './session-store.js'

/** The stores of a client: for the same session, or the same filters, always the same one. */
export class Stores {
  readonly client: ReliveClient
  readonly #sessions = new Map<string, SessionStore>()
  readonly #lists = new Map<string, ListStore>()

  constructor(client: ReliveClient) {
    this.client = client
  }

  session(sessionId: string): SessionStore {
    return found(this.#sessions, sessionId, (place) => new SessionStore(this.client, sessionId, place))
  }

  list(filters: SessionFilters): ListStore {
    return found(this.#lists, filtersKey(filters), (place) => new ListStore(this.client, filters, place))
  }
}

/** The same for the same filters, in whichever order they are given. */
export function filtersKey(filters: SessionFilters): string {
  const given = Object.entries(filters).filter(([, value]) => value !== undefined)
  return JSON.stringify(given.sort(([a], [b]) => (a < b ? -1 : 1)))
}

function found<Store>(stores: Map<string, Store>, key: string, make: (place: Place) => Store): Store {
  const known = stores.get(key)
  if (known !== undefined) return known
  const store: Store = make({
    keep: () => {
      if (!stores.has(key)) stores.set(key, store)
    },
    forget: () => {
      if (stores.get(key) === store) stores.delete(key)
    },
  })
  stores.set(key, store)
  return store
}
