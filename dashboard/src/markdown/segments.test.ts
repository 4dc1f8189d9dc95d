import { expect, test } from 'vitest'

import { segmentsOf } from './segments'

const parts = (text: string) => segmentsOf(text).parts

test('paragraphs are parts, lists and quotes with blank lines in them are one', () => {
  expect(parts('One.\n\nTwo\nand a half.\n\nThree.')).toEqual(['One.\n', 'Two\nand a half.\n', 'Three.'])
  expect(parts('- a\n\n- b\n\n  more of b\n\nAfter.')).toEqual(['- a\n\n- b\n\n  more of b\n', 'After.'])
  expect(parts('1. a\n\n2. b')).toHaveLength(1)
  expect(parts('> a\n\n> b')).toHaveLength(1)
})

test('code is not split, closed or not', () => {
  expect(parts('```js\na\n\nb\n```\n\nAfter.')).toEqual(['```js\na\n\nb\n```\n', 'After.'])
  expect(parts('````\n```\n\nb\n```\n\nstill\n````')).toHaveLength(1)
  expect(parts('~~~\na\n\n```\n\nb')).toHaveLength(1)
})

test('only the last part changes while a text is written', () => {
  const text = 'One *two*.\n\n- a\n- b\n\nThree `four`.\n\n```\nfive\n\nsix\n```\n\nSeven.'
  for (let end = 1; end < text.length; end += 1) {
    const [before, after] = [parts(text.slice(0, end)), parts(text.slice(0, end + 1))]
    expect(after.slice(0, before.length - 1)).toEqual(before.slice(0, -1))
  }
  expect(parts(text).join('\n')).toBe(text)
})

test('where links lead is known to all parts', () => {
  expect(segmentsOf('See [it][1].\n\nMore.\n\n[1]: https://example.com').definitions).toBe('[1]: https://example.com')
  expect(segmentsOf('```\n[1]: https://example.com\n```').definitions).toBe('')
})
