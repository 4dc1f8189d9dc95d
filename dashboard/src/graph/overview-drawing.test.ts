import { expect, test } from 'vitest'

// The module makes paths for the icons when it is loaded, and there is no canvas here.
globalThis.Path2D = class {} as unknown as typeof Path2D
const { linesOf } = await import('./overview-drawing')

const upTo = (count: number) => (text: string) => text.length <= count

test('a name is broken between words, or wherever it has none, and cut after two lines', () => {
  expect(linesOf('short', upTo(10))).toEqual(['short'])
  expect(linesOf('gather sources', upTo(10))).toEqual(['gather', 'sources'])
  expect(linesOf('gather all sources of it', upTo(10))).toEqual(['gather all', 'sources o…'])
  expect(linesOf('收集所有资料来源', upTo(5))).toEqual(['收集所有资', '料来源'])
  expect(linesOf('abcdefghijklmnop', upTo(5))).toEqual(['abcde', 'fghi…'])
})
