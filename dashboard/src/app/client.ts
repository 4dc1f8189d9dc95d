import { type ConnectionState, ReliveClient } from '@relive/types'

import { recheck } from '../access/me'
import { onUnauthorized } from '../api/http'
import { FrameStore } from '../store/frame-store'
import { base } from './base'
import { noteLost } from './known-now'
import { type Link, nextLink } from './link'

/** The page's one socket for sessions and commands. */
export const client = new ReliveClient({ url: location.origin + base, heartbeat: { idleMs: 35_000, answerMs: 5000 } })

/** The connection state of the sessions' socket; every page shows it. */
export const link = new FrameStore<Link>({ connection: client.connection, lostAt: undefined })

client.onConnectionChange((connection) => {
  link.update((state) => nextLink(state, connection, Date.now()))
  // Nothing is asked of an idle connection.
  noteLost(client, connection.state === 'idle' ? undefined : link.latest.lostAt)
  noticeRefusal(connection)
})
onUnauthorized(() => void recheck())

/** The server has refused the socket: the sign-in has expired, or was ended. */
export function noticeRefusal({ error }: ConnectionState): void {
  if (error?.code === 'unauthorized') void recheck()
}
