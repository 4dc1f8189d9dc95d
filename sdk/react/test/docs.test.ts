// The code in the documentation is that of files that tests run.
import { existsSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { expect, test } from 'vitest'

const root = join(import.meta.dirname, '../../..')

/** Blocks that follow `<!-- path -->`, with the path. */
function blocks(document: string): [path: string, code: string][] {
  const text = readFileSync(join(root, document), 'utf8')
  const found = text.matchAll(/<!-- (\S+) -->\n\n```\w+\n(.*?)\n```\n/gs)
  return [...found].map(([, path = '', code = '']) => [path, code])
}

for (const [document, least] of [
  ['docs/watch-react.md', 6],
  ['docs/embed.md', 4],
] as const) {
  test(`${document} shows files as they are`, () => {
    const found = blocks(document)
    expect(found.length).toBeGreaterThanOrEqual(least)
    for (const [path, code] of found) {
      expect(existsSync(join(root, path)), path).toBe(true)
      expect(code, path).toBe(readFileSync(join(root, path), 'utf8').trimEnd())
    }
    const fences = readFileSync(join(root, document), 'utf8').match(/^```(tsx?|html|js)$/gm) ?? []
    expect(fences.length, 'every block of code comes from a file').toBe(found.length)
  })
}
