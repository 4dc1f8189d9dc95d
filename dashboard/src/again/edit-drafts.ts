import { readJsonText } from '../format/json-text'
import type { Edit, Target } from './edits'

/** A change as it is being written. A text is written as it is, anything else as JSON. */
export interface Draft {
  readonly target: Target
  readonly before: unknown
  readonly text: string
  readonly isText: boolean
}

export function textOf(value: unknown): string {
  if (value === undefined) return ''
  return typeof value === 'string' ? value : JSON.stringify(value, undefined, 2)
}

export function isSame(a: unknown, b: unknown): boolean {
  return JSON.stringify(a) === JSON.stringify(b)
}

export function otherForm(draft: Draft): Draft {
  if (draft.isText) return { ...draft, isText: false, text: JSON.stringify(draft.text) }
  const { value } = readJsonText(draft.text)
  return { ...draft, isText: true, text: typeof value === 'string' ? value : draft.text }
}

export function marksOf(
  { text }: Draft,
  invalid: (line: number | undefined) => string,
  repeated: (name: string) => string,
) {
  // Nothing written is nothing changed.
  if (text.trim() === '') return []
  const read = readJsonText(text)
  if (read.problem !== undefined) return [{ line: read.problem.line, text: invalid(read.problem.line) }]
  return read.repeated.map(({ name, line }) => ({ line, text: repeated(name), isHint: true }))
}

/** The changes that are written, and those of which the text is no JSON. */
export function editsOf(drafts: ReadonlyMap<string, Draft>): { edits: readonly Edit[]; isFine: boolean } {
  const edits: Edit[] = []
  let isFine = true
  for (const { target, before, text, isText } of drafts.values()) {
    if (!isText && text.trim() === '') continue
    const read = isText ? { value: text, problem: undefined } : readJsonText(text)
    if (read.problem !== undefined) isFine = false
    else if (!isSame(before, read.value) && !(before === undefined && read.value === ''))
      edits.push({ target, before, after: read.value })
  }
  return { edits, isFine }
}
