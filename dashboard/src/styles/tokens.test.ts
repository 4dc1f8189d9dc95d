import { expect, test } from 'vitest'

const sheets = import.meta.glob<string>('./*.css', { query: '?raw', import: 'default', eager: true })

/** Sheets whose texts are drawn at sizes of their own: in a zoomed graph, in charts, in headings of Markdown. */
const ownSizes = ['graph', 'timeline', 'markdown', 'messages', 'panels']

function found(pattern: RegExp, except: readonly string[]): string[] {
  return Object.entries(sheets).flatMap(([path, css]) => {
    const name = path.replace(/^\.\/|\.css$/g, '')
    if (name === 'tokens' || except.includes(name)) return []
    return [...css.matchAll(pattern)].map(([text]) => `${name}: ${text}`)
  })
}

test('sizes of text, colours and radii come from the tokens', () => {
  expect(Object.keys(sheets).length).toBeGreaterThan(10)
  expect(found(/font(-size)?:[^;]*?[\d.]+px/g, ownSizes)).toEqual([])
  expect(found(/#[0-9a-f]{3,8}\b|\brgba?\(/gi, [])).toEqual([])
  expect(found(/border-radius: (8|10)px/g, ['timeline'])).toEqual([])
})
