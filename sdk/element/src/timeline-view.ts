import type { WorkflowSession } from '@relive/types'
import { duration } from '../../../dashboard/src/format/time'
import { type Bar, inOrder, type Lanes } from '../../../dashboard/src/timeline/lanes'
import { html, plainName, setText } from './dom'

/** Lanes that are drawn: the last ones to have begun. */
const lanesAtMost = 200
/** Bars of one lane that are drawn: the last ones. */
const barsAtMost = 200

/** When each node ran and waited. */
export class TimelineView {
  readonly element = html('div', { class: 'timeline', part: 'timeline', role: 'list', 'aria-label': 'Timeline' })
  readonly #rows = new Map<string, { row: HTMLElement; label: HTMLElement; track: HTMLElement }>()

  /** `now` is the moment that is shown, in milliseconds since 1970. */
  show(lanes: Lanes, session: WorkflowSession, now: number): void {
    const begun = ({ revision }: Bar) => revision === undefined || revision <= session.revision
    const all = inOrder(lanes).map(({ id, bars }) => ({ id, bars: bars.filter(begun).slice(-barsAtMost) }))
    const shown = all.filter(({ bars }) => bars.length > 0).slice(-lanesAtMost)
    const start = Math.min(
      Date.parse(session.startedAt ?? session.createdAt),
      ...shown.map(({ bars }) => bars[0]?.from ?? now),
    )
    const length = Math.max(1, now - start)
    const kept = new Set(shown.map(({ id }) => id))
    for (const [id, { row }] of this.#rows) {
      if (kept.has(id)) continue
      row.remove()
      this.#rows.delete(id)
    }
    shown.forEach(({ id, bars }, at) => {
      const { row, label, track } = this.#row(id)
      setText(label, plainName(session.nodes[id]?.name ?? id) || id)
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
    const label = html('span', { class: 'lane-name' })
    const track = html('span', { class: 'track' })
    const row = html('div', { class: 'lane', role: 'listitem' }, label, track)
    const made = { row, label, track }
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
