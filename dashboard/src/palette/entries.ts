/** A line of the palette. */
export interface Entry {
  readonly id: string
  readonly kind: 'session' | 'page' | 'view' | 'action'
  readonly label: string
  /** Beside the label, such as a status. */
  readonly hint?: string
  run(): void
}

export const entriesAtMost = 40

/** How well a label fits what is written: 0 not at all. Its beginning counts most, then the beginning of a word. */
export function closeness(label: string, wanted: string): number {
  const [text, asked] = [label.toLowerCase(), wanted.trim().toLowerCase()]
  if (asked === '') return 1
  const at = text.indexOf(asked)
  if (at === 0) return 4
  if (at > 0) return /[\s:·/_-]/.test(text[at - 1] ?? '') ? 3 : 2
  return asked.split(/\s+/).every((word) => text.includes(word)) ? 1 : 0
}

/** The entries that fit, the best first; equals in the order in which they are given. */
export function fitting(entries: readonly Entry[], wanted: string): readonly Entry[] {
  return entries
    .map((entry) => ({ entry, close: closeness(entry.label, wanted) }))
    .filter((each) => each.close > 0)
    .sort((a, b) => b.close - a.close)
    .slice(0, entriesAtMost)
    .map(({ entry }) => entry)
}
