import { expect, test } from 'vitest'

import kinds from '../../../src/engine/nodes/server.rs?raw'
import names from '../../../src/engine/property_names.rs?raw'
import { nearest, nodeTypes, problemsOf } from './node-types'

/** The names in the first list of texts after a place in Rust source. */
function listed(source: string, after: string): string[] {
  const start = source.indexOf(after)
  expect(start, after).toBeGreaterThanOrEqual(0)
  const text = source.slice(start + after.length, source.indexOf(']', start + after.length))
  return [...text.matchAll(/"([A-Za-z_]+)"/g)].map(([, name = '']) => name)
}

test('the types and their properties are those of the server', () => {
  expect(Object.keys(nodeTypes).sort()).toEqual(
    listed(kinds, "fn names(&self) -> Vec<&'static str> {\n        vec![").sort(),
  )
  const model = listed(names, 'const MODEL: &[&str] =')
  const lines = names.slice(names.indexOf('match kind {'), names.indexOf('_ => &[]')).split('\n')
  const ofServer = new Map<string, string[]>()
  for (const line of lines) {
    const [left = '', right = ''] = line.split('=>')
    const properties = [...right.matchAll(/"([A-Za-z]+)"/g)].map(([, name = '']) => name)
    for (const [, type = ''] of left.matchAll(/"([a-z_]+)"/g))
      ofServer.set(type, right.includes('MODEL') ? [...properties, ...model] : properties)
  }
  expect(ofServer.size).toBeGreaterThan(10)
  for (const [type, properties] of Object.entries(nodeTypes))
    expect([type, ofServer.get(type)]).toEqual([type, properties])
  // Those of every node: none of them is unknown, and what is not among them is.
  const shared = [...listed(names, 'const EVERY: &[&str] = &['), ...listed(names, 'const NOTES: &[&str] = &[')]
  const given = Object.fromEntries([...shared, 'zebra'].map((name) => [name, null]))
  expect(problemsOf('end', given)).toEqual([{ kind: 'unknownProperty', name: 'zebra', nearest: undefined }])
})

test('a wrong property is named, with the one that was meant', () => {
  expect(problemsOf('delay', { secondz: 0 })).toEqual([
    { kind: 'unknownProperty', name: 'secondz', nearest: 'seconds' },
    { kind: 'needed', name: 'seconds' },
  ])
  expect(problemsOf('loop', { max_rounds: '3', 'x-mine': 1 })).toEqual([{ kind: 'number', name: 'max_rounds' }])
  expect(problemsOf('human_review', { allowSkip: 'yes', prompt: null })).toEqual([{ kind: 'flag', name: 'allowSkip' }])
  expect(problemsOf('of another engine', { any: 1 })).toEqual([])
  expect(nearest('timeoutSecond', ['seconds', 'timeoutSeconds'])).toBe('timeoutSeconds')
  expect(nearest('on_eror', ['onError'])).toBe('onError')
  expect(nearest('zebra', ['onError'])).toBeUndefined()
})
