import { expect, test } from 'vitest'

import readme from '../../../README.md?raw'
import { firstLines } from './first-lines'

test('they are those of README', () => {
  // Code that is not fenced is indented there.
  const lines = readme.split('\n').map((line) => line.replace(/^ {4}(?=curl|ID=|#)/, ''))
  for (const { code, install, language } of firstLines('http://127.0.0.1:7400')) {
    expect(lines.join('\n'), language).toContain(code)
    if (install !== undefined) expect(readme).toContain(install)
  }
})

test('another server is named in all of them', () => {
  for (const { code, install } of firstLines('https://relive.example/tools'))
    expect(`${install ?? ''}${code}`).toContain('https://relive.example/tools')
})
