import type { ConnectionState } from '@relive/types'

/** The state of a connection, and since when the shown data may be out of date. */
export interface Link {
  readonly connection: ConnectionState
  /** When the connection was lost, in milliseconds since 1970; `undefined` while it is open. */
  readonly lostAt: number | undefined
}

export function nextLink(link: Link, connection: ConnectionState, now: number): Link {
  if (connection.state === 'open') return { connection, lostAt: undefined }
  // Before the first connection nothing is shown, so nothing can be out of date.
  const wasOpen = link.connection.state === 'open'
  return { connection, lostAt: wasOpen ? now : link.lostAt }
}
