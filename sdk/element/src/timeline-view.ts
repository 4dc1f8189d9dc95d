import type { GraphDefinition, WorkflowSession } from '@relive/types'
import { duration } from '../../../dashboard/src/format/time'
import { nodeName } from '../../../dashboard/src/node/instances'
import { type Bar, inOrder, type Lanes } from '../../../dashboard/src/timeline/lanes'
import { deepest, nest } from '../../../dashboard/src/timeline/nested'
import { html, plainName, setText } from './dom'

/** Lanes that are drawn: the last ones to have begun. */
const lanesAtMost = 200
/** Bars of one lane that are drawn: the last ones. */
const barsAtMost = 200

/** When each node ran and waited. Steps are set in below the node that they are of. */
export class TimelineView {
  readonly element = html('div', { class: 'timeline', part: 'timeline', role: 'list', 'aria-label': 'Timeline' })
  readonly #rows = new Map<string, { row: HTMLElement; label: HTMLElement; kind: HTMLElement; track: HTMLElement }>()

  /** `now` is the moment that is shown, in milliseconds since 1970. */
  show(lanes: Lanes, session: WorkflowSession, now: number, graph: GraphDefinition | undefined): void {
    const begun = ({ revision }: Bar) => revision === undefined || revision <= session.revision
    const all = inOrder(lanes, graph).map(({ id, bars }) => ({ id, bars: bars.filter(begun).slice(-barsAtMost) }))
    const shown = nest(all.filter(({ bars }) => bars.length > 0).slice(-lanesAtMost), session.nodes)
    const start = Math.min(
      Date.parse(session.startedAt ?? session.createdAt),
      ...shown.map(({ lane: { bars } }) => bars[0]?.from ?? now),
    )
    const length = Math.max(1, now - start)
    const kept = new Set(shown.map(({ lane }) => lane.id))
    for (const [id, { row }] of this.#rows) {
      if (kept.has(id)) continue
      row.remove()
      this.#rows.delete(id)
    }
    shown.forEach(({ lane: { id, bars }, depth }, at) => {
      const { row, label, kind, track } = this.#row(id)
      setText(label, plainName(nodeName(id, session, graph)) || id)
      setText(kind, session.nodes[id]?.kind ?? '')
      row.style.setProperty('--depth', String(Math.min(depth, deepest)))
      const status = session.nodes[id]?.status
      const isActive = status === 'running' || status === 'suspended'
      while (track.childElementCount > bars.length) track.lastElementChild?.remove()
      while (track.childElementCount < bars.length) track.append(html('i'))
      bars.forEach((bar, index) => {
        // Its end may have come later than the moment that is shown.
        const isOpen = bar.to === undefined || (isActive && index === bars.length - 1)
        place(track.children[index] as HTMLElement, isOpen ? { ...bar, to: undefined } : bar, start, length, now)
      })
      if (this.element.children[at] !== row) this.element.insertBefore(row, this.element.children[at] ?? null)
    })
  }

  #row(id: string) {
    const known = this.#rows.get(id)
    if (known !== undefined) return known
    const label = html('span')
    const kind = html('small')
    const name = html('span', { class: 'lane-name' }, label, kind)
    const track = html('span', { class: 'track' })
    const row = html('div', { class: 'lane', role: 'listitem' }, name, track)
    const made = { row, label, kind, track }
    this.#rows.set(id, made)
    return made
  }
}

function place(element: HTMLElement, bar: Bar, start: number, length: number, now: number): void {
  const to = bar.to ?? now
  const status = bar.to === undefined ? bar.during : bar.status
  element.className = status
  element.style.left = `${(100 * (bar.from - start)) / length}%`
  element.style.width = `${(100 * Math.max(0, to - bar.from)) / length}%`
  element.title = `${status}, ${duration(to - bar.from)}${bar.attempt > 1 ? `, attempt ${bar.attempt}` : ''}`
}
