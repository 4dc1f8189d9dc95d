import type { ConnectionState } from '@relive/types'

/** How a connection stands, with what a page needs to say how old its picture is. */
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
