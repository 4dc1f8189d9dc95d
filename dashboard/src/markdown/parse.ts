import MarkdownIt, { type Token } from 'markdown-it'

// No HTML is ever made of HTML in a text: it is shown as the text that it is. What comes out is drawn as elements of
// the page, and no string of markup is put into it.
const markdown = new MarkdownIt({ html: false, linkify: true, breaks: true, typographer: false, maxNesting: 40 })
// Only what says that it is an address becomes one.
markdown.linkify.set({ fuzzyLink: false, fuzzyEmail: false, fuzzyIP: false })
markdown.validateLink = isSafe

/** Addresses that lead out of the page to a web page or a mail; every other scheme, and none, could act on this page. */
export function isSafe(address: string): boolean {
  try {
    return ['http:', 'https:', 'mailto:'].includes(new URL(address).protocol)
  } catch {
    return false
  }
}

export interface Node {
  readonly type: string
  readonly tag: string
  readonly content: string
  /** The language of code. */
  readonly info: string
  readonly attributes: Readonly<Record<string, string>>
  readonly children: readonly Node[]
}

/** A part of a text as a tree; `definitions` are lines that say where its links lead. */
export function parse(part: string, definitions: string): readonly Node[] {
  const env: Record<string, unknown> = {}
  if (definitions !== '') markdown.parse(definitions, env)
  return treeOf(markdown.parse(part, env))
}

function treeOf(tokens: readonly Token[]): readonly Node[] {
  const root: Node[] = []
  const open: Node[][] = [root]
  for (const token of tokens) {
    if (token.nesting === -1) {
      if (open.length > 1) open.pop()
      continue
    }
    // The paragraphs of a list without blank lines.
    const children: Node[] = token.children == null ? [] : [...treeOf(token.children)]
    const node: Node = {
      type: token.type,
      tag: token.hidden ? '' : token.tag,
      content: token.content,
      info: token.info,
      attributes: Object.fromEntries((token.attrs ?? []).map(([name, value]) => [name, String(value)])),
      children,
    }
    open.at(-1)?.push(node)
    if (token.nesting === 1) open.push(children)
  }
  return root
}
