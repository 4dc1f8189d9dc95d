import type { Message, WorkflowSession } from '@relive/types'
import { html, plainName, setText } from './dom'

/** Messages that are drawn: the newest. */
const messagesAtMost = 500
/** Characters of a message that are drawn. */
const lengthAtMost = 100_000
/** How far from its end the list may be scrolled and still follow it, in pixels. */
const nearEnd = 40

interface Drawn {
  readonly element: HTMLElement
  readonly head: HTMLElement
  readonly body: HTMLElement
  message: Message | undefined
}

/** What was said, as it is said. As text: a run's messages are foreign. */
export class MessagesView {
  readonly #list = html('div', { class: 'message-list', role: 'log', 'aria-label': 'Messages', tabindex: '0' })
  readonly #earlier = html('button', { type: 'button', class: 'earlier', hidden: '' }, 'Earlier messages')
  readonly #note = html('p', { class: 'note', hidden: '' })
  readonly element = html('div', { class: 'messages', part: 'messages' }, this.#earlier, this.#note, this.#list)
  readonly #drawn = new Map<string, Drawn>()

  constructor(readEarlier: () => void) {
    this.#earlier.addEventListener('click', readEarlier)
  }

  show(messages: readonly Message[], session: WorkflowSession, hasEarlier: boolean, problem: string | undefined): void {
    const list = this.#list
    const isAtEnd = list.scrollHeight - list.scrollTop - list.clientHeight < nearEnd
    const shown = messages.slice(-messagesAtMost)
    const kept = new Set(shown.map(({ id }) => id))
    for (const [id, { element }] of this.#drawn) {
      if (kept.has(id)) continue
      element.remove()
      this.#drawn.delete(id)
    }
    shown.forEach((message, at) => {
      const drawn = this.#of(message)
      this.#update(drawn, message, session)
      if (list.children[at] !== drawn.element) list.insertBefore(drawn.element, list.children[at] ?? null)
    })
    this.#earlier.hidden = !hasEarlier || messages.length >= messagesAtMost
    this.#note.hidden = problem === undefined && messages.length > 0
    setText(this.#note, problem ?? 'No messages yet')
    if (isAtEnd) list.scrollTop = list.scrollHeight
  }

  #of({ id }: Message): Drawn {
    const known = this.#drawn.get(id)
    if (known !== undefined) return known
    const head = html('header')
    const body = html('p', { dir: 'auto' })
    const made: Drawn = { element: html('article', {}, head, body), head, body, message: undefined }
    this.#drawn.set(id, made)
    return made
  }

  #update(drawn: Drawn, message: Message, session: WorkflowSession): void {
    if (drawn.message === message) return
    drawn.message = message
    const node = session.nodes[message.nodeId]?.name ?? message.nodeId
    const speaker = message.agentName ?? message.agentId ?? message.role
    setText(drawn.head, [speaker, node].map(plainName).filter(Boolean).join(' · '))
    setText(drawn.body, message.content.slice(0, lengthAtMost))
    const marks = [
      ['user', message.role === 'user'],
      ['thinking', message.isThinking],
      ['streaming', message.isStreaming],
    ] as const
    drawn.element.className = marks
      .filter(([, is]) => is)
      .map(([name]) => name)
      .join(' ')
  }
}
