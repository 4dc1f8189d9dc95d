import { type ConnectionState, ReliveClient } from '@relive/types'

import { recheck } from '../access/me'
import { onUnauthorized } from '../api/http'
import { FrameStore } from '../store/frame-store'
import { base } from './base'
import { type Link, nextLink } from './link'

/** The page's one socket for sessions and commands. */
export const client = new ReliveClient({ url: location.origin + base, heartbeat: { idleMs: 35_000, answerMs: 5000 } })

/** How the sessions' socket stands; every page shows it. */
export const link = new FrameStore<Link>({ connection: client.connection, lostAt: undefined })

client.onConnectionChange((connection) => {
  link.update((state) => nextLink(state, connection, Date.now()))
  noticeRefusal(connection)
})
onUnauthorized(() => void recheck())

/** A socket that the server has refused: the sign-in has expired, or is over. */
export function noticeRefusal({ error }: ConnectionState): void {
  if (error?.code === 'unauthorized') void recheck()
}
