// Fails if a page loads more compressed JavaScript than it may.
import { readdirSync, readFileSync, statSync } from 'node:fs'
import { fileURLToPath } from 'node:url'

const assets = fileURLToPath(new URL('../dist/assets/', import.meta.url))
const page = readFileSync(fileURLToPath(new URL('../dist/index.html', import.meta.url)), 'utf8')
const files = readdirSync(assets)

const packed = (name) => statSync(`${assets}${name}.gz`).size
const sum = (names) => names.reduce((all, name) => all + packed(name), 0)

/** These files, and all that they import without being asked. */
function withImports(names) {
  const all = new Set(names)
  for (const name of all) {
    const code = readFileSync(`${assets}${name}`, 'utf8')
    for (const [, imported] of code.matchAll(/(?:from|import)\s*"\.\/([^"]+\.js)"/g)) all.add(imported)
  }
  return [...all]
}

const first = withImports([...page.matchAll(/(?:src|href)="\.\/assets\/([^"]+\.js)"/g)].map(([, name]) => name))
const session = withImports(files.filter((name) => /^session-page-.*\.js$/.test(name))).filter(
  (name) => !first.includes(name),
)
const pages = [
  ['the list, before anything is loaded on demand', first, 150],
  ['a session, besides', session, 150],
]
let isTooLarge = false
for (const [what, names, kilobytes] of pages) {
  if (names.length === 0) throw new Error(`no files for ${what}`)
  const size = sum(names) / 1000
  const verdict = size > kilobytes ? 'TOO LARGE' : 'ok'
  console.log(`${what}: ${size.toFixed(1)} of ${kilobytes} KB of compressed JavaScript, ${verdict}`)
  isTooLarge ||= size > kilobytes
}
if (isTooLarge) process.exit(1)
