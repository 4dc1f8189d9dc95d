import { ReliveClient } from '@relive/types'

import { FrameStore } from '../store/frame-store'
import { base } from './base'
import { type Link, nextLink } from './link'

/** The page's one socket for sessions and commands. */
export const client = new ReliveClient({ url: location.origin + base, heartbeat: { idleMs: 35_000, answerMs: 5000 } })

/** How the sessions' socket stands; every page shows it. */
export const link = new FrameStore<Link>({ connection: client.connection, lostAt: undefined })

client.onConnectionChange((connection) => link.update((state) => nextLink(state, connection, Date.now())))
