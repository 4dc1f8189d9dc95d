import { ReliveClient, type ConnectionState } from '@relive/types'

import { FrameStore } from '../store/frame-store'

/** The page's one socket for sessions and commands. */
export const client = new ReliveClient({ url: location.origin, heartbeat: { idleMs: 35_000, answerMs: 5000 } })

export interface Link {
  readonly connection: ConnectionState
  /** When the connection was lost, in milliseconds since 1970; `undefined` while it is open. */
  readonly lostAt: number | undefined
}

export function nextLink(link: Link, connection: ConnectionState, now: number): Link {
  if (connection.state === 'open') return { connection, lostAt: undefined }
  // Before the first opening nothing is shown yet, so nothing can have been lost.
  const wasOpen = link.connection.state === 'open'
  return { connection, lostAt: wasOpen ? now : link.lostAt }
}

/** How the sessions' socket stands; every page shows it. */
export const link = new FrameStore<Link>({ connection: client.connection, lostAt: undefined })

client.onConnectionChange((connection) => link.update((state) => nextLink(state, connection, Date.now())))
