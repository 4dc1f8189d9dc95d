import type { Log, WorkflowSession } from '@relive/types'
import { millis, position } from '../../../dashboard/src/format/time'
import { html, plainName, setText } from './dom'

/** How far from its end the list may be scrolled and still follow it, in pixels. */
const nearEnd = 40
/** Characters of a line that are drawn. */
const lengthAtMost = 10_000

/** What nodes have logged. Closed at first: lines are read only once somebody wants to see them. */
export class LogsView {
  readonly #list = html('div', { class: 'log-list', role: 'log', 'aria-label': 'Logs', tabindex: '0' })
  readonly #note = html('p', { class: 'note' })
  readonly element = html(
    'details',
    { class: 'logs', part: 'logs' },
    html('summary', {}, 'Logs'),
    this.#note,
    this.#list,
  )
  /** By session and revision. */
  #drawn = new Map<string, HTMLElement>()

  constructor(opened: () => void) {
    this.element.addEventListener('toggle', () => {
      if (this.element.open) opened()
    })
  }

  /** `undefined`: not read yet. */
  show(logs: readonly Log[] | undefined, session: WorkflowSession, problem: string | undefined): void {
    const list = this.#list
    const isAtEnd = list.scrollHeight - list.scrollTop - list.clientHeight < nearEnd
    const before = this.#drawn
    this.#drawn = new Map()
    for (const log of logs ?? []) {
      const key = `${log.sessionId} ${log.revision}`
      const line = before.get(key) ?? lineOf(log, session)
      before.delete(key)
      this.#drawn.set(key, line)
      // Lines come at the end, and go at the beginning.
      if (line.parentNode === null) list.append(line)
    }
    for (const line of before.values()) line.remove()
    this.#note.hidden = problem === undefined && this.#drawn.size > 0
    setText(this.#note, problem ?? (logs === undefined ? 'Reading…' : 'No log lines yet'))
    if (isAtEnd) list.scrollTop = list.scrollHeight
  }
}

function lineOf({ at, level, nodeId, text, attributes }: Log, session: WorkflowSession): HTMLElement {
  const start = session.startedAt ?? session.createdAt
  const facts = Object.entries(attributes ?? {}).map(([name, value]) => `${name}: ${value}`)
  return html(
    'p',
    { class: level, dir: 'auto' },
    html('span', { class: 'when' }, position(millis(at) - millis(start))),
    html('b', {}, level),
    html('span', { class: 'where' }, plainName(session.nodes[nodeId]?.name ?? nodeId)),
    [text, ...facts].join(' · ').slice(0, lengthAtMost),
  )
}
