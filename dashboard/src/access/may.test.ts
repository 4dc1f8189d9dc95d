import type { WhoAmI } from '@relive/types'
import { expect, test } from 'vitest'

import { may, type Offer, rolesToGive } from './may'

const offers: Offer[] = [
  'create',
  'control',
  'review',
  'fork',
  'restore',
  'share',
  'readCatalog',
  'manageKeys',
  'readAudit',
]

function offered(me: Partial<WhoAmI>, sessionId = 's1'): Offer[] {
  const whole: WhoAmI = { required: true, project: 'default', signedIn: true, ...me }
  return offers.filter((offer) => may(whole, offer, sessionId))
}

test('each role is offered what it may do', () => {
  const reads: Offer[] = ['share', 'readCatalog']
  expect(offered({ role: 'viewer' })).toEqual(reads)
  expect(offered({ role: 'reviewer' })).toEqual(['review', ...reads])
  expect(offered({ role: 'operator' })).toEqual(['create', 'control', 'review', 'fork', ...reads])
  expect(offered({ role: 'engine' })).toEqual(['create', 'control', 'review', ...reads])
  expect(offered({ role: 'admin' })).toEqual(offers)
  expect(offered({ role: 'root' })).toEqual(offers)
  expect(offered({ role: 'of a newer server' })).toEqual([])
})

test('a token is offered what its scopes allow of this session', () => {
  expect(offered({ scopes: ['read:sessions', 'read:sessions:s1'] })).toEqual([])
  expect(offered({ scopes: ['control:sessions:s1'] })).toEqual(['control'])
  expect(offered({ scopes: ['review:sessions:s1'] })).toEqual(['review'])
  expect(offered({ scopes: ['write:sessions:s1'] })).toEqual(['control', 'review'])
  expect(offered({ scopes: ['write:sessions:s2'] })).toEqual([])
})

test('without access control everything is offered but what is about keys, tokens and people', () => {
  const everything: Offer[] = ['create', 'control', 'review', 'fork', 'restore', 'readCatalog']
  expect(offered({ required: false })).toEqual(everything)
  expect(offers.filter((offer) => may(undefined, offer))).toEqual(everything)
  expect(offered({ required: false, role: 'admin' })).toEqual(everything)
})

test('nobody gives more than they have', () => {
  const admin: WhoAmI = { required: true, project: 'default', signedIn: true, role: 'admin' }
  expect(rolesToGive(admin)).not.toContain('root')
  expect(rolesToGive({ ...admin, role: 'root' })).toContain('root')
})
