import { type ReactNode, useMemo, useState } from 'react'

import { useText } from '../i18n/text'
import { CopyButton } from '../ui/copy-button'
import { Icon } from '../ui/icon'
import { type Branch, findIn, isBranch, membersOf, openFor, type Path, pathText } from './json-path'

/** Members drawn of one branch at a time: drawing is what takes long, however large the value. */
const membersAtOnce = 100
/** Characters of a text that are shown at first. */
const charactersAtFirst = 4000
/** Branches with more members than this are closed at first, unless they are the value itself. */
const openUpTo = 12
/** Members from which on a value can be searched. */
const findFrom = 12

/** An object or a list that can be folded and searched, and of which paths and values are copied. */
export function JsonTree({ value }: { value: Branch }) {
  const t = useText()
  const [text, setText] = useState('')
  const found = useMemo(() => findIn(value, text), [value, text])
  const opened = useMemo(() => openFor(found.paths), [found])
  const marked = useMemo(() => new Set(found.paths.map(pathText)), [found])
  const hasFind = useMemo(() => isLarge(value), [value])
  return (
    <div className="json">
      {hasFind && (
        <div className="json-find">
          <input
            type="search"
            aria-label={t.findInValue}
            placeholder={t.findInValue}
            value={text}
            onChange={(event) => setText(event.target.value)}
          />
          <span className="faint num" role="status">
            {text.trim() === '' ? '' : `${t.foundPlaces(found.paths.length)}${found.isCut ? '+' : ''}`}
          </span>
        </div>
      )}
      <Members value={value} path={[]} opened={opened} marked={marked} />
    </div>
  )
}

function isLarge(value: Branch): boolean {
  const members = membersOf(value)
  return members.length >= findFrom || members.some(([, member]) => isBranch(member) && isLarge(member))
}

interface Place {
  path: Path
  /** Paths that a search has opened, and those it has found. */
  opened: ReadonlySet<string>
  marked: ReadonlySet<string>
}

function Members({ value, path, opened, marked }: Place & { value: Branch }) {
  const t = useText()
  const [shown, setShown] = useState(membersAtOnce)
  const members = membersOf(value)
  // Further down than what is drawn, but found.
  const late = members.slice(shown).filter(([step]) => {
    const key = pathText([...path, step])
    return marked.has(key) || opened.has(key)
  })
  const row = ([step, member]: readonly [string | number, unknown]) => (
    <Member key={step} value={member} path={[...path, step]} opened={opened} marked={marked} />
  )
  return (
    <ul>
      {members.slice(0, shown).map(row)}
      {members.length > shown && (
        <li>
          <button type="button" className="pill" onClick={() => setShown(shown + membersAtOnce * 5)}>
            {t.moreSteps(members.length - shown)}
          </button>
        </li>
      )}
      {late.slice(0, membersAtOnce).map(row)}
    </ul>
  )
}

function Member({ value, path, opened, marked }: Place & { value: unknown }) {
  const t = useText()
  const key = pathText(path)
  const [chosen, setChosen] = useState<boolean>()
  const name = String(path.at(-1))
  const isMarked = marked.has(key)
  const label = <span className="json-name">{name}</span>
  if (!isBranch(value)) {
    return (
      <li className={isMarked ? 'found' : undefined}>
        {label}
        <Leaf value={value} />
        <Copies value={value} path={key} />
      </li>
    )
  }
  const size = Array.isArray(value) ? value.length : Object.keys(value).length
  const isOpen = chosen ?? (opened.has(key) || (size <= openUpTo && path.length < 3))
  return (
    <li className={isMarked ? 'found' : undefined}>
      <button type="button" className="json-fold" aria-expanded={isOpen} onClick={() => setChosen(!isOpen)}>
        <Icon name="chevron" />
        {label}
        <span className="faint num">{Array.isArray(value) ? `[${size}]` : `{${size}}`}</span>
      </button>
      <Copies value={value} path={key} />
      {isOpen && size > 0 && <Members value={value} path={path} opened={opened} marked={marked} />}
      {isOpen && size === 0 && <span className="faint"> {t.none}</span>}
    </li>
  )
}

function Leaf({ value }: { value: unknown }): ReactNode {
  if (typeof value === 'string') return <TextValue text={value} />
  return <span className={`json-value ${value === null ? 'null' : typeof value}`}>{String(value)}</span>
}

/** A text as it is, with its lines: escaped in quotes it could not be read. */
export function TextValue({ text }: { text: string }) {
  const t = useText()
  const [isWhole, setWhole] = useState(false)
  const shown = isWhole ? text : text.slice(0, charactersAtFirst)
  const isBlock = text.includes('\n') || text.length > 120
  const more = shown.length < text.length && (
    <button type="button" className="pill" onClick={() => setWhole(true)}>
      {t.everything} ({Math.ceil(text.length / 1024)} KiB)
    </button>
  )
  if (!isBlock)
    return (
      <span className="json-value string" dir="auto">
        {text === '' ? '""' : text}
      </span>
    )
  return (
    <>
      <pre className="json-text" tabIndex={0} dir="auto">
        {shown.trimEnd()}
      </pre>
      {more}
    </>
  )
}

function Copies({ value, path }: { value: unknown; path: string }) {
  const t = useText()
  const text = () => (typeof value === 'string' ? value : JSON.stringify(value, undefined, 2))
  return (
    <span className="json-copies">
      <CopyButton text={path} label={t.copyPath} />
      <CopyButton text={text} label={t.copyValue} />
    </span>
  )
}
