import { useState } from 'react'

import { useText } from '../i18n/text'

/** Characters shown before the user expands the value: a large output must not slow down the page. */
const shownAtFirst = 4000

/** Any JSON value: a text as it is, anything else as indented JSON. */
export function ValueView({ value }: { value: unknown }) {
  const t = useText()
  const [isWhole, setWhole] = useState(false)
  const text = readable(value)
  const shown = isWhole ? text : text.slice(0, shownAtFirst)
  return (
    <div className="value">
      <pre tabIndex={0} dir="auto">
        {shown}
      </pre>
      {shown.length < text.length && (
        <button type="button" className="pill" onClick={() => setWhole(true)}>
          {t.everything} ({Math.ceil(text.length / 1024)} KiB)
        </button>
      )}
    </div>
  )
}

/** The output of a command is lines of text; as JSON it would be one long line with `\n` in it. */
export function readable(value: unknown): string {
  if (typeof value === 'string') return value.trimEnd()
  if (typeof value !== 'object' || value === null || Array.isArray(value))
    return JSON.stringify(value, undefined, 2) ?? ''
  const members = Object.entries(value)
  const isPlain = members.length > 0 && members.every(([, member]) => typeof member !== 'object' || member === null)
  if (!isPlain) return JSON.stringify(value, undefined, 2)
  return members
    .filter(([, member]) => member !== '' && member !== null)
    .map(([key, member]) => {
      const text = String(member).trimEnd()
      return text.includes('\n') ? `${key}:\n${text}` : `${key}: ${text}`
    })
    .join('\n')
}
