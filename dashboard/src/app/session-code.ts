import { onDemand } from './on-demand'

export const inboxCode = onDemand(() => import('../inbox/inbox-page'))

/** Graph, timeline and replay: nearly half of the code, which the list does without. */
export const sessionCode = onDemand(() => import('../session/session-page'))
