import type { TokenChunk } from '../generated/protocol.js'
import type { ContentType, MessageRole, ToolCall } from '../generated/session.js'

export interface NodeMessage {
  /** Of a message whose pieces were shown before. */
  id?: string
  /** Default `agent`. */
  role?: MessageRole
  agentId?: string
  isThinking?: boolean
  tokenCount?: number
  /** Default `text/markdown`. */
  contentType?: ContentType
  toolCalls?: readonly ToolCall[]
  toolCallId?: string
}

/** What a message that is being written needs of its node. */
export interface WriterOwner {
  show(chunk: Omit<TokenChunk, 'nodeId'>): void
  store(content: string, options: NodeMessage): void
}

/** A message that viewers see while it is written. Stored when it is closed, at the latest when its node ends. */
export class MessageWriter {
  readonly id: string
  readonly #owner: WriterOwner
  readonly #options: NodeMessage
  #text = ''
  #isClosed = false

  /** @internal Made by `node.writing`. */
  constructor(id: string, options: NodeMessage, owner: WriterOwner) {
    this.id = id
    this.#options = options
    this.#owner = owner
  }

  /** What was written so far. */
  get text(): string {
    return this.#text
  }

  /** What comes next of it. */
  write(text: string): void {
    if (text === '' || this.#isClosed) return
    this.#text += text
    const { agentId, isThinking } = this.#options
    this.#owner.show({
      messageId: this.id,
      text,
      ...(agentId !== undefined && { agentId }),
      ...(isThinking !== undefined && { isThinking }),
    })
  }

  /** Stores it: what was written, or `text`. `options` as of `node.message`, such as its `toolCalls`. */
  close(text?: string, options: NodeMessage = {}): void {
    if (this.#isClosed) return
    this.#isClosed = true
    const content = text ?? this.#text
    if (content === '' && options.toolCalls === undefined) return
    this.#owner.store(content, { ...this.#options, ...options, id: this.id })
  }
}
