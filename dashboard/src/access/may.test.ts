import type { WhoAmI } from '@relive/types'
import { expect, test } from 'vitest'

import { may, type Offer, rolesToGive } from './may'

const offers: Offer[] = [
  'create',
  'createFromGraph',
  'control',
  'review',
  'edit',
  'fork',
  'restore',
  'share',
  'readStatistics',
  'readCatalog',
  'administer',
  'manageKeys',
  'readAudit',
]

function offered(me: Partial<WhoAmI>, sessionId = 's1'): Offer[] {
  const whole: WhoAmI = { required: true, project: 'default', signedIn: true, ...me }
  return offers.filter((offer) => may(whole, offer, sessionId))
}

test('each role is offered what it may do', () => {
  const reads: Offer[] = ['share', 'readStatistics', 'readCatalog']
  expect(offered({ role: 'viewer' })).toEqual(reads)
  expect(offered({ role: 'reviewer' })).toEqual(['review', ...reads])
  expect(offered({ role: 'operator' })).toEqual(['create', 'control', 'review', 'fork', ...reads])
  expect(offered({ role: 'engine' })).toEqual(['create', 'createFromGraph', 'control', 'review', 'edit', ...reads])
  expect(offered({ role: 'admin' })).toEqual(offers)
  expect(offered({ role: 'root' })).toEqual(offers)
  expect(offered({ role: 'of a newer server' })).toEqual([])
})

test('a token is offered what its scopes allow of this session', () => {
  expect(offered({ scopes: ['read:sessions:s1'] })).toEqual([])
  expect(offered({ scopes: ['read:sessions'] })).toEqual(['readStatistics'])
  expect(offered({ scopes: ['control:sessions:s1'] })).toEqual(['control'])
  expect(offered({ scopes: ['review:sessions:s1'] })).toEqual(['review'])
  expect(offered({ scopes: ['write:sessions:s1'] })).toEqual(['control', 'review', 'edit'])
  expect(offered({ scopes: ['write:sessions:s2'] })).toEqual([])
})

test('without access control everything is offered but what is about keys, tokens and people', () => {
  const needsIdentity: Offer[] = ['share', 'manageKeys', 'readAudit']
  const everything = offers.filter((offer) => !needsIdentity.includes(offer))
  expect(offered({ required: false })).toEqual(everything)
  expect(offers.filter((offer) => may(undefined, offer))).toEqual(everything)
  expect(offered({ required: false, role: 'admin' })).toEqual(everything)
})

test('nobody gives more than they have', () => {
  const admin: WhoAmI = { required: true, project: 'default', signedIn: true, role: 'admin' }
  expect(rolesToGive(admin)).not.toContain('root')
  expect(rolesToGive({ ...admin, role: 'root' })).toContain('root')
})
