/** A part of a Markdown text that can be read by itself. */
export interface Segments {
  readonly parts: readonly string[]
  /** The lines that define where links of the text lead, which all parts need. */
  readonly definitions: string
}

const fence = /^\s*(`{3,}|~{3,})/
/** A line that begins a block of its own: not one that may go on with a list, a quote or a table. */
const beginning = /^(?![-*+>|]|\d{1,9}[.)])\S/
const definition = /^ {0,3}\[[^\]\n]{1,200}\]:\s*\S{1,2000}/

/**
 * Splits a text at blank lines between blocks. While a text is being written, only its last part changes, and only
 * that is read and drawn again.
 */
export function segmentsOf(text: string): Segments {
  const parts: string[] = []
  const definitions: string[] = []
  let part: string[] = []
  let open: string | undefined
  let isAfterBlank = false
  for (const line of text.split('\n')) {
    const mark = fence.exec(line)?.[1]
    if (open === undefined && isAfterBlank && beginning.test(line)) {
      parts.push(part.join('\n'))
      part = []
    }
    if (open === undefined) {
      if (definition.test(line)) definitions.push(line)
      open = mark
    } else if (mark !== undefined && mark[0] === open[0] && mark.length >= open.length && line.trim() === mark) {
      open = undefined
    }
    isAfterBlank = open === undefined && line.trim() === ''
    part.push(line)
  }
  parts.push(part.join('\n'))
  return { parts, definitions: definitions.join('\n') }
}
