import type { SessionStatus } from '@relive/types'

/** The actions of a user on a whole run. */
export const actions = ['start', 'pause', 'resume', 'stop', 'cancel'] as const
export type Action = (typeof actions)[number]

/** As in the protocol; the server refuses everything else. */
const allowed: Record<Action, readonly SessionStatus[]> = {
  start: ['pending'],
  pause: ['running'],
  resume: ['paused'],
  stop: ['running', 'paused'],
  cancel: ['pending', 'running', 'paused'],
}

export function isAllowed(action: Action, status: SessionStatus): boolean {
  return allowed[action].includes(status)
}

/** Those after which a run does not go on: the page asks before them. */
export type EndingAction = 'stop' | 'cancel'

export function isEnding(action: Action): action is EndingAction {
  return action === 'stop' || action === 'cancel'
}
