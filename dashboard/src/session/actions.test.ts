import { expect, test } from 'vitest'

import { sessionStatuses } from '../status/status'
import { actions, isAllowed } from './actions'

test('only what the protocol allows can be pressed', () => {
  const allowed = Object.fromEntries(
    sessionStatuses.map((status) => [status, actions.filter((action) => isAllowed(action, status))]),
  )
  expect(allowed).toEqual({
    pending: ['start', 'cancel'],
    running: ['pause', 'stop', 'cancel'],
    paused: ['resume', 'stop', 'cancel'],
    completed: [],
    failed: [],
    cancelled: [],
  })
})
