import { memo, type ReactNode, useMemo } from 'react'

import { CodeBlock } from './code-block'
import { type Node, parse } from './parse'
import { segmentsOf } from './segments'

/** Longer texts are shown as they are. */
const charactersAtMost = 200_000

/** A text in Markdown, also while it is written. HTML in it is text, and its pictures are links: nothing is loaded. */
export function Markdown({ text, end }: { text: string; end?: ReactNode }) {
  const { parts, definitions } = useMemo(() => segmentsOf(text.slice(0, charactersAtMost)), [text])
  return (
    <div className="markdown">
      {parts.map((part, index) => (
        // biome-ignore lint/suspicious/noArrayIndexKey: parts are only added at the end.
        <Part key={index} part={part} definitions={definitions} />
      ))}
      {text.length > charactersAtMost && <p className="plain">{text.slice(charactersAtMost)}</p>}
      {end}
    </div>
  )
}

const Part = memo(function Part({ part, definitions }: { part: string; definitions: string }) {
  const nodes = useMemo(() => parse(part, definitions), [part, definitions])
  return <>{nodes.map(draw)}</>
})

type Drawing = (node: Node, key: number) => ReactNode

/** What there is besides those of `tags`; everything else is shown by its text alone. */
const drawings: Record<string, Drawing> = {
  text: ({ content }) => content,
  inline: ({ children }) => children.map(draw),
  softbreak: (_, key) => <br key={key} />,
  hardbreak: (_, key) => <br key={key} />,
  hr: (_, key) => <hr key={key} />,
  code_inline: ({ content }, key) => <code key={key}>{content}</code>,
  code_block: ({ content }, key) => <CodeBlock key={key} code={content.trimEnd()} language="" />,
  fence: ({ content, info }, key) => (
    <CodeBlock key={key} code={content.trimEnd()} language={/^[\w+#.-]{1,30}/.exec(info.trim())?.[0] ?? ''} />
  ),
  // Headings of a message are not headings of the page.
  heading_open: ({ children, tag }, key) => (
    <p key={key} className={`heading ${tag}`} dir="auto">
      {children.map(draw)}
    </p>
  ),
  paragraph_open: ({ children, tag }, key) =>
    tag === '' ? (
      children.map(draw)
    ) : (
      <p key={key} dir="auto">
        {children.map(draw)}
      </p>
    ),
  link_open: ({ children, attributes }, key) => (
    <Link key={key} address={attributes['href']}>
      {children.map(draw)}
    </Link>
  ),
  image: ({ content, attributes }, key) => (
    <Link key={key} address={attributes['src']}>
      {content || attributes['src']}
    </Link>
  ),
  ordered_list_open: ({ children, attributes }, key) => (
    <ol key={key} start={Number(attributes['start'] ?? 1)}>
      {children.map(draw)}
    </ol>
  ),
  table_open: ({ children }, key) => (
    <div key={key} className="table-scroll" tabIndex={0}>
      <table>{children.map(draw)}</table>
    </div>
  ),
}

const tags = new Set([...['ul', 'li', 'blockquote', 'em', 'strong', 's'], ...['thead', 'tbody', 'tr', 'th', 'td']])

function draw(node: Node, key: number): ReactNode {
  const drawing = Object.hasOwn(drawings, node.type) ? drawings[node.type] : undefined
  if (drawing !== undefined) return drawing(node, key)
  const children = node.children.map(draw)
  if (!tags.has(node.tag)) return children.length > 0 ? children : node.content
  const Tag = node.tag as 'ul'
  return <Tag key={key}>{children}</Tag>
}

/** The address stands beside, as the words may say another. */
function Link({ address, children }: { address: string | undefined; children: ReactNode }) {
  return (
    <a href={address} title={address} target="_blank" rel="noopener noreferrer nofollow">
      {children}
    </a>
  )
}
