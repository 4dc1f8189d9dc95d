import { expect, test } from 'vitest'

import document from '../../../docs/design.md?raw'
import css from './tokens.css?raw'

type Rgb = readonly [number, number, number]
type Tokens = Readonly<Record<string, string>>

/** The custom properties of the rule with this selector. */
function declared(selector: string): Tokens {
  const start = css.indexOf(`${selector} {`)
  const body = css.slice(start, css.indexOf('}', start))
  return Object.fromEntries(
    [...body.matchAll(/--([a-z-]+):\s*([^;]+);/g)].map(([, name = '', value = '']) => [name, value]),
  )
}

const light = declared(':root')
const themes: Record<string, Tokens> = { light, dark: { ...light, ...declared(':root[data-theme="dark"]') } }

function rgb(hex: string): Rgb {
  const [, r, g, b] = /^#(..)(..)(..)$/.exec(hex) ?? []
  if (r === undefined || g === undefined || b === undefined) throw new Error(`not a colour: ${hex}`)
  return [Number.parseInt(r, 16), Number.parseInt(g, 16), Number.parseInt(b, 16)]
}

/** As WCAG 2 defines it. */
function luminance(colour: Rgb): number {
  const [r, g, b] = colour.map((channel) => {
    const value = channel / 255
    return value <= 0.04045 ? value / 12.92 : ((value + 0.055) / 1.055) ** 2.4
  }) as unknown as Rgb
  return 0.2126 * r + 0.7152 * g + 0.0722 * b
}

function contrast(a: Rgb, b: Rgb): number {
  const [one, other] = [luminance(a), luminance(b)]
  return (Math.max(one, other) + 0.05) / (Math.min(one, other) + 0.05)
}

/** A colour on another one, as `color-mix` with `transparent` gives it. */
function over(colour: Rgb, share: number, under: Rgb): Rgb {
  return colour.map((channel, at) => channel * share + (under[at] ?? 0) * (1 - share)) as unknown as Rgb
}

const surfaces = ['panel', 'bg', 'hover', 'accent-soft'] as const
const statuses = ['pending', 'running', 'completed', 'failed', 'skipped', 'suspended'] as const

/** What is read, and on which surfaces. */
const texts: readonly (readonly [string, readonly string[]])[] = [
  ['ink', surfaces],
  ['dim', surfaces],
  ['faint', ['panel', 'bg', 'hover']],
  ...statuses.map((status) => [`${status}-text`, ['panel', 'bg', 'hover']] as const),
  ...['code-word', 'code-text', 'code-value', 'code-name'].map((name) => [name, ['code', 'panel']] as const),
]

/** What is seen, and not read: marks of statuses and lines of charts. The word is always beside them. */
const marks = ['running', 'completed', 'failed', 'suspended', 'accent', 'code-word'] as const

/** The lowest contrast of a text or a mark on its surfaces. */
function lowest(theme: Tokens, name: string, on: readonly string[]): number {
  return Math.min(...on.map((surface) => contrast(rgb(theme[name] ?? ''), rgb(theme[surface] ?? ''))))
}

test('the dark colours are the same, whether the system or the reader asks for them', () => {
  expect(declared(':root:not([data-theme="light"])')).toEqual(declared(':root[data-theme="dark"]'))
})

for (const [name, theme] of Object.entries(themes)) {
  test(`texts have a contrast of 4.5 and marks one of 3 (${name})`, () => {
    for (const [text, on] of texts) expect(lowest(theme, text, on), text).toBeGreaterThanOrEqual(4.5)
    for (const mark of marks) expect(lowest(theme, mark, ['panel', 'bg']), mark).toBeGreaterThanOrEqual(3)
    expect(lowest(theme, 'on-accent', ['accent']), 'on-accent').toBeGreaterThanOrEqual(4.5)
  })

  test(`the word in a chip can be read on its tint (${name})`, () => {
    const panel = rgb(theme['panel'] ?? '')
    for (const status of statuses) {
      const tint = over(rgb(theme[status] ?? ''), 0.13, panel)
      expect(contrast(rgb(theme[`${status}-text`] ?? ''), tint), status).toBeGreaterThanOrEqual(4.5)
    }
  })
}

test('docs/design.md has these figures', () => {
  const figure = (value: number) => (Math.floor(value * 10) / 10).toFixed(1)
  const rows = [
    ...texts,
    ...marks.map((mark) => [mark, ['panel', 'bg']] as const),
    ['on-accent', ['accent']] as const,
  ].map(([name, on]) => {
    const [day, night] = ['light', 'dark'].map((theme) => figure(lowest(themes[theme] ?? {}, name, on)))
    return `| \`--${name}\` | ${on.map((surface) => `\`--${surface}\``).join(', ')} | ${day} | ${night} |`
  })
  for (const row of rows) expect(document).toContain(row)
})
