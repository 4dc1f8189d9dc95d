import { type KeyboardEvent, useId, useMemo, useState } from 'react'

import { useText } from '../i18n/text'
import { selectNode } from '../session/selection'
import { useSession } from '../session/session-context'
import { shownSession } from '../session/state'
import { StatusIcon } from '../status/status-icon'
import { useShownGraph } from './use-shown-graph'

const matchesAtMost = 8
/** Nodes from which on there is a search. */
export const findFrom = 12

/** Finds a node by its name or id; shown from `findFrom` nodes on. */
export function FindNode() {
  const t = useText()
  const graph = useShownGraph()
  const session = useSession(shownSession)
  const [text, setText] = useState('')
  const [active, setActive] = useState(0)
  const [isOpen, setOpen] = useState(false)
  const listId = useId()
  const nodes = useMemo(() => Object.values(graph?.nodes ?? {}), [graph])
  const matches = useMemo(() => {
    const wanted = text.trim().toLowerCase()
    if (wanted === '') return []
    const fits = ({ id, name }: { id: string; name: string }) =>
      name.toLowerCase().includes(wanted) || id.toLowerCase().includes(wanted)
    return nodes.filter(fits).slice(0, matchesAtMost)
  }, [nodes, text])
  if (nodes.length < findFrom) return null
  const choose = (id: string | undefined) => {
    if (id === undefined) return
    selectNode(id, 'panel')
    setText('')
    setOpen(false)
  }
  const onKeyDown = (event: KeyboardEvent) => {
    if (event.key === 'ArrowDown') setActive((at) => Math.min(matches.length - 1, at + 1))
    else if (event.key === 'ArrowUp') setActive((at) => Math.max(0, at - 1))
    else if (event.key === 'Enter') choose(matches[active]?.id)
    else if (event.key === 'Escape') setOpen(false)
    else return
    event.preventDefault()
  }
  const isShown = isOpen && matches.length > 0
  return (
    <div className="find-node">
      <input
        type="search"
        role="combobox"
        aria-label={t.findNode}
        aria-expanded={isShown}
        aria-controls={listId}
        aria-activedescendant={isShown ? `${listId}-${active}` : undefined}
        placeholder={t.findNode}
        value={text}
        onChange={(event) => {
          setText(event.target.value)
          setActive(0)
          setOpen(true)
        }}
        onBlur={() => setOpen(false)}
        onKeyDown={onKeyDown}
      />
      <ul id={listId} role="listbox" aria-label={t.findNode} hidden={!isShown}>
        {matches.map(({ id, name }, index) => (
          <li
            key={id}
            id={`${listId}-${index}`}
            role="option"
            aria-selected={index === active}
            onMouseDown={(event) => {
              event.preventDefault()
              choose(id)
            }}
          >
            <StatusIcon status={session?.nodes[id]?.status ?? 'pending'} />
            <span>{name}</span>
          </li>
        ))}
      </ul>
    </div>
  )
}
