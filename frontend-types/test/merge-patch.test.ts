import assert from 'node:assert/strict'
import { test } from 'node:test'
import { mergePatch, share } from '../src/merge-patch.js'

test('the examples of RFC 7396, appendix A', () => {
  const examples: [unknown, unknown, unknown][] = [
    [{ a: 'b' }, { a: 'c' }, { a: 'c' }],
    [{ a: 'b' }, { b: 'c' }, { a: 'b', b: 'c' }],
    [{ a: 'b' }, { a: null }, {}],
    [{ a: 'b', b: 'c' }, { a: null }, { b: 'c' }],
    [{ a: ['b'] }, { a: 'c' }, { a: 'c' }],
    [{ a: 'c' }, { a: ['b'] }, { a: ['b'] }],
    [{ a: { b: 'c' } }, { a: { b: 'd', c: null } }, { a: { b: 'd' } }],
    [{ a: [{ b: 'c' }] }, { a: [1] }, { a: [1] }],
    [
      ['a', 'b'],
      ['c', 'd'],
      ['c', 'd'],
    ],
    [{ a: 'b' }, ['c'], ['c']],
    [{ a: 'foo' }, null, null],
    [{ a: 'foo' }, 'bar', 'bar'],
    [{ e: null }, { a: 1 }, { e: null, a: 1 }],
    [[1, 2], { a: 'b', c: null }, { a: 'b' }],
    [{}, { a: { bb: { ccc: null } } }, { a: { bb: {} } }],
  ]
  for (const [target, patch, expected] of examples) assert.deepEqual(mergePatch(target, patch), expected)
})

test('what a patch does not change stays the same object', () => {
  const target = { nodes: { a: { status: 'running' }, b: { status: 'pending' } }, active: ['a'] }
  const result = mergePatch(target, { nodes: { b: { status: 'running' } }, active: ['a'] }) as typeof target
  assert.notEqual(result.nodes, target.nodes)
  assert.equal(result.nodes.a, target.nodes.a)
  assert.equal(result.active, target.active)
  assert.equal(mergePatch(target, { nodes: { a: { status: 'running' }, c: null } }), target)
  assert.ok(Object.isFrozen(result.nodes.b))
})

test('a node may be called __proto__ or toString', () => {
  const patch: unknown = JSON.parse('{"__proto__": {"status": "running"}, "toString": {"status": "failed"}}')
  const result = mergePatch({}, patch)
  assert.equal(JSON.stringify(result), JSON.stringify(patch))
  assert.equal(Object.getPrototypeOf(result), Object.prototype)
  assert.equal(
    JSON.stringify(mergePatch(result, JSON.parse('{"__proto__": null}'))),
    '{"toString":{"status":"failed"}}',
  )
})

test('equal parts of two snapshots are shared', () => {
  const before = share(undefined, { a: { list: [{ x: 1 }, { x: 2 }] }, b: { y: 1 } }) as { a: unknown; b: unknown }
  const after = share(before, { a: { list: [{ x: 1 }, { x: 2 }] }, b: { y: 2 } }) as { a: unknown; b: unknown }
  assert.equal(after.a, before.a)
  assert.notEqual(after.b, before.b)
  assert.deepEqual(share(before, { a: [], b: {} }), { a: [], b: {} })
})
