import type { Message, TokenFrame } from '@relive/types'

/** A run's messages: those that are stored, and those still being written. */
export interface MessageBook {
  /** In the order in which they were said. */
  readonly stored: readonly Message[]
  /** By id; their text is what has arrived so far. */
  readonly streaming: ReadonlyMap<string, Message>
  /** Whether older ones were let go. */
  readonly isCutOff: boolean
}

export const messagesAtMost = 5000
/** As many as the server keeps for a session; one more, and the oldest is given up. */
const streamsAtMost = 64
/** Characters of a message being written that are shown; the stored one comes whole. */
const streamLength = 1_048_576

export const noMessages: MessageBook = { stored: [], streaming: new Map(), isCutOff: false }

/** Adds stored messages, each once, wherever they belong in time. */
export function withStored(book: MessageBook, messages: readonly Message[]): MessageBook {
  const known = new Set(book.stored.map(({ id }) => id))
  const added = messages.filter(({ id }) => !known.has(id) && known.add(id))
  const streaming = without(book.streaming, messages)
  if (added.length === 0) return streaming === book.streaming ? book : { ...book, streaming }
  const last = book.stored.at(-1)
  const isInOrder = added.every((message, index) => {
    const before = index === 0 ? last : added[index - 1]
    return before === undefined || before.createdAt <= message.createdAt
  })
  const all = [...book.stored, ...added]
  // Sorting is stable: what was said in the same millisecond stays in the order it came.
  if (!isInOrder) all.sort((a, b) => (a.createdAt < b.createdAt ? -1 : a.createdAt > b.createdAt ? 1 : 0))
  const isCutOff = book.isCutOff || all.length > messagesAtMost
  return { stored: all.length > messagesAtMost ? all.slice(-messagesAtMost) : all, streaming, isCutOff }
}

/** Adds pieces of messages being written, in the order they came. */
export function withTokens(book: MessageBook, tokens: readonly TokenFrame[], now: string): MessageBook {
  if (tokens.length === 0) return book
  const streaming = new Map(book.streaming)
  const stored = new Set(book.stored.slice(-200).map(({ id }) => id))
  for (const { sessionId, nodeId, messageId, text, agentId, isThinking } of tokens) {
    // A piece that came late, after the whole.
    if (stored.has(messageId)) continue
    const before = streaming.get(messageId)
    if (before !== undefined) {
      if (before.content.length < streamLength) streaming.set(messageId, { ...before, content: before.content + text })
      continue
    }
    streaming.set(messageId, {
      id: messageId,
      sessionId,
      nodeId,
      ...(agentId !== undefined && { agentId }),
      role: 'agent',
      content: text,
      isThinking: isThinking ?? false,
      isStreaming: true,
      tokenCount: 0,
      createdAt: now,
    })
    if (streaming.size > streamsAtMost) {
      const oldest = streaming.keys().next().value
      if (oldest !== undefined) streaming.delete(oldest)
    }
  }
  return { ...book, streaming }
}

/** After a lost connection the server sends what is being written from its beginning again. */
export function withoutStreams(book: MessageBook): MessageBook {
  return book.streaming.size === 0 ? book : { ...book, streaming: new Map() }
}

function without(streaming: ReadonlyMap<string, Message>, finished: readonly Message[]): ReadonlyMap<string, Message> {
  if (!finished.some(({ id }) => streaming.has(id))) return streaming
  const rest = new Map(streaming)
  for (const { id } of finished) rest.delete(id)
  return rest
}

/** What had been said by a moment, milliseconds since 1970. */
export function saidBy(stored: readonly Message[], moment: number): readonly Message[] {
  let low = 0
  let high = stored.length
  while (low < high) {
    const middle = (low + high) >> 1
    const message = stored[middle]
    if (message !== undefined && Date.parse(message.createdAt) <= moment) low = middle + 1
    else high = middle
  }
  return low === stored.length ? stored : stored.slice(0, low)
}
