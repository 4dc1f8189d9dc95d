import { expect, test } from 'vitest'

import { isSafe, type Node, parse } from './parse'

function all(nodes: readonly Node[]): readonly Node[] {
  return nodes.flatMap((node) => [node, ...all(node.children)])
}

test('a text is a tree of blocks and words', () => {
  const nodes = all(parse('# Title\n\n1. *one*\n2. `two`\n\n| a |\n|---|\n| b |\n\n```js\nlet a\n```', ''))
  const types = nodes.map(({ type }) => type)
  for (const type of ['heading_open', 'ordered_list_open', 'em_open', 'code_inline', 'table_open', 'fence'])
    expect(types, type).toContain(type)
  expect(nodes.find(({ type }) => type === 'fence')).toMatchObject({ info: 'js', content: 'let a\n' })
})

test('definitions apply to a part that does not have them', () => {
  const link = all(parse('See [it][1].', '[1]: https://example.com/a')).find(({ type }) => type === 'link_open')
  expect(link?.attributes['href']).toBe('https://example.com/a')
})

test('no address leads anywhere but to a web page or a mail', () => {
  for (const address of [
    'https://example.com',
    'http://example.com/a?b#c',
    'mailto:a@example.com',
    'HTTPS://EXAMPLE.COM',
  ])
    expect(isSafe(address), address).toBe(true)
  for (const address of [
    'javascript:alert(1)',
    'JaVaScRiPt:alert(1)',
    ' javascript:alert(1)',
    'java\tscript:alert(1)',
    'data:text/html,<script>alert(1)</script>',
    'data:image/png;base64,AAAA',
    'vbscript:x',
    'file:///etc/passwd',
    'blob:https://example.com/1',
    '//example.com',
    '/sessions/1',
    '?page=keys',
    '',
  ])
    expect(isSafe(address), address).toBe(false)
})

test('hostile texts make no links to elsewhere and no HTML', () => {
  const hostile = [
    '<img src=x onerror=alert(1)>',
    '<script>alert(1)</script>',
    '[a](javascript:alert(1))',
    '[a](javascript&#58;alert(1))',
    '[a](<java\nscript:alert(1)>)',
    '<javascript:alert(1)>',
    '[a]: javascript:alert(1)\n\n[a]',
    '![a](javascript:alert(1))',
    '![a](data:image/svg+xml,<svg onload=alert(1)>)',
    '[a](https://example.com "x\\" onmouseover=alert(1)")',
    '<a href="javascript:alert(1)">a</a>',
  ]
  for (const text of hostile) {
    const nodes = all(parse(text, ''))
    expect(
      nodes.some(({ type }) => type.startsWith('html')),
      text,
    ).toBe(false)
    for (const { attributes } of nodes) {
      for (const name of ['href', 'src'])
        if (attributes[name] !== undefined) expect(isSafe(attributes[name])).toBe(true)
      for (const name of Object.keys(attributes)) expect(name).not.toMatch(/^on/)
    }
  }
})

test('texts made to take for ever do not', () => {
  const n = 10_000
  const hostile = [
    '['.repeat(n),
    `${'*'.repeat(n)}a${'*'.repeat(n)}`,
    '*a '.repeat(n),
    '>'.repeat(n),
    '> '.repeat(n),
    '`a'.repeat(n),
    '[a](b'.repeat(n),
    '<a '.repeat(n),
    Array.from({ length: 1000 }, (_, depth) => `${' '.repeat(depth)}- a`).join('\n'),
    `${'|a'.repeat(3000)}\n${'|-'.repeat(3000)}\n|x`,
  ]
  for (const text of hostile) {
    const began = performance.now()
    parse(text, '')
    expect(performance.now() - began, text.slice(0, 20)).toBeLessThan(10_000)
  }
})
