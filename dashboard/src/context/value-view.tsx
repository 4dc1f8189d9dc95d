import { isBranch } from './json-path'
import { JsonTree, TextValue } from './json-tree'

/** Any JSON value: a text as it is, an object or a list as a tree. */
export function ValueView({ value }: { value: unknown }) {
  return (
    <div className="value">{isBranch(value) ? <JsonTree value={value} /> : <TextValue text={readable(value)} />}</div>
  )
}

/** A value in one text, for where there is no room for a tree. */
export function readable(value: unknown): string {
  if (typeof value === 'string') return value.trimEnd()
  if (!isBranch(value) || Array.isArray(value)) return JSON.stringify(value, undefined, 2) ?? ''
  const members = Object.entries(value)
  const isPlain = members.length > 0 && members.every(([, member]) => !isBranch(member))
  if (!isPlain) return JSON.stringify(value, undefined, 2)
  return members
    .filter(([, member]) => member !== '' && member !== null)
    .map(([key, member]) => {
      const text = String(member).trimEnd()
      return text.includes('\n') ? `${key}:\n${text}` : `${key}: ${text}`
    })
    .join('\n')
}
