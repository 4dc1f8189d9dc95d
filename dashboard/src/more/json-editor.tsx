import '../styles/json-editor.css'

import { type CSSProperties, useId, useRef, useState } from 'react'

import { useMoreText } from './text'

/** What is wrong with a text, or only remarkable, at a line that counts from 1. */
export interface Mark {
  readonly line: number
  readonly text: string
  readonly isHint?: boolean
}

/** Problems that are listed. */
const marksAtMost = 20

interface JsonEditorProps {
  label: string
  value: string
  marks: readonly Mark[]
  /** Lines that are seen at once; without it, the editor fills its place. */
  rows?: number
  /** Instead of the marks, when there are none. */
  fine?: string | undefined
  onChange(text: string): void
}

/** A text with numbers of lines, in which what is wrong is marked at its line, and listed below: a click leads there. */
export function JsonEditor({ label, value, marks, rows, fine, onChange }: JsonEditorProps) {
  const m = useMoreText()
  const area = useRef<HTMLTextAreaElement>(null)
  const [top, setTop] = useState(0)
  const id = useId()
  const lines = value.split('\n')
  const isInvalid = marks.some(({ isHint }) => isHint !== true)
  const shown = marks.slice(0, marksAtMost)
  const goTo = (line: number) => {
    const element = area.current
    if (element === null) return
    const start = lines.slice(0, line - 1).reduce((sum, each) => sum + each.length + 1, 0)
    element.focus()
    element.setSelectionRange(start, start + (lines[line - 1]?.length ?? 0))
    const height = element.scrollHeight / Math.max(1, lines.length)
    element.scrollTop = Math.max(0, (line - 1) * height - element.clientHeight / 3)
  }
  return (
    <div className={`json-editor${rows === undefined ? ' filling' : ''}`}>
      <label htmlFor={`${id}-text`}>{label}</label>
      <div className="json-lines">
        <div
          className="json-gutter"
          style={{ '--digits': String(lines.length).length } as CSSProperties}
          aria-hidden="true"
        >
          <pre style={{ transform: `translateY(${-top}px)` }}>{lines.map((_, index) => index + 1).join('\n')}</pre>
          {shown.map(({ line, isHint }) => (
            <i
              key={line}
              className={isHint === true ? 'hint' : undefined}
              style={{ '--at': line - 1, transform: `translateY(${-top}px)` } as CSSProperties}
            />
          ))}
        </div>
        <textarea
          ref={area}
          id={`${id}-text`}
          className="mono"
          spellCheck={false}
          wrap="off"
          rows={rows}
          value={value}
          aria-invalid={isInvalid}
          aria-describedby={`${id}-marks`}
          onScroll={(event) => setTop(event.currentTarget.scrollTop)}
          onChange={(event) => onChange(event.target.value)}
        />
      </div>
      <div id={`${id}-marks`} className="json-marks" role="status">
        {shown.length === 0 && fine !== undefined && <p className="good">{fine}</p>}
        {shown.map(({ line, text, isHint }) => (
          <p key={`${line} ${text}`} className={isHint === true ? 'dim' : 'error-line'}>
            <button type="button" className="link num" onClick={() => goTo(line)}>
              {m.line(line)}
            </button>{' '}
            {text}
          </p>
        ))}
        {marks.length > shown.length && <p className="dim">{m.moreProblems(marks.length - shown.length)}</p>}
      </div>
    </div>
  )
}
