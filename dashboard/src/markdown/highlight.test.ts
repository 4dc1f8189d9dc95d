import { expect, test } from 'vitest'

import { highlight, type Piece } from './highlight'

const textOf = (pieces: readonly Piece[]): string =>
  pieces.map((piece) => (typeof piece === 'string' ? piece : textOf(piece.pieces))).join('')
const kinds = (pieces: readonly Piece[]): string[] =>
  pieces.flatMap((piece) => (typeof piece === 'string' ? [] : [piece.kind, ...kinds(piece.pieces)]))

test('code keeps its text, letter by letter, whatever is in it', () => {
  for (const code of ['const a = "<b>" // x', '</span><script>alert(1)</script>', 'let', '', 'a\n\n  b\t'])
    expect(textOf(highlight(code, 'js') ?? [])).toBe(code)
  expect(kinds(highlight('const a = 1', 'typescript') ?? [])).toContain('hljs-keyword')
})

test('a language that is not known, and too much code, have no colours', () => {
  expect(highlight('x', 'klingon')).toBeUndefined()
  expect(highlight('x', 'constructor')).toBeUndefined()
  expect(highlight('x'.repeat(50_000), 'js')).toBeUndefined()
})
