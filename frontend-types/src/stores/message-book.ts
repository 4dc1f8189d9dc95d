import type { Message } from '../generated/session.js'
import type { TokenFrame } from '../subscription.js'

/** The messages of a run: a range of the stored ones, and those that are being written. */
export interface MessageBook {
  /** In chronological order, without gaps. */
  readonly stored: readonly Message[]
  /** By id; the text is what has arrived so far. */
  readonly streaming: ReadonlyMap<string, Message>
  /** Whether there are older ones than those held. */
  readonly hasEarlier: boolean
  /** Whether there are newer ones than those held. New messages would leave a gap then, and are not added. */
  readonly hasLater: boolean
  /** Messages that arrived since a page was requested, which may lack them; `undefined` while none is requested. */
  readonly arriving: readonly Message[] | undefined
}

/** The messages that were read from one position on. */
export interface MessageRun {
  /** Oldest first, whatever the direction of reading. */
  readonly messages: readonly Message[]
  /** Whether there are no more in the direction of reading. */
  readonly isEnd: boolean
}

export const messagesAtMost = 5000
/** As many as the server keeps for a session; beyond it the oldest is dropped. */
const streamsAtMost = 64
/** Characters of a message being written that are shown; the stored one is shown whole. */
const streamLength = 1_048_576

export const noMessages: MessageBook = {
  stored: [],
  streaming: new Map(),
  hasEarlier: false,
  hasLater: false,
  arriving: undefined,
}

/** Adds new messages, each once. Beyond the bound the oldest are dropped. */
export function withStored(book: MessageBook, messages: readonly Message[]): MessageBook {
  if (messages.length === 0) return book
  const streaming = without(book.streaming, messages)
  const arriving = book.arriving === undefined ? undefined : [...book.arriving, ...messages].slice(-messagesAtMost)
  if (book.hasLater)
    return streaming === book.streaming && arriving === undefined ? book : { ...book, streaming, arriving }
  const stored = joined(book.stored, messages)
  if (stored === book.stored && streaming === book.streaming && arriving === undefined) return book
  return keepNewest({ ...book, stored, streaming, arriving })
}

/** A page is requested: messages that arrive meanwhile are kept as well. */
export function asking(book: MessageBook): MessageBook {
  return { ...book, arriving: [] }
}

/** A requested page will not arrive. */
export function notAsking(book: MessageBook): MessageBook {
  return book.arriving === undefined ? book : { ...book, arriving: undefined }
}

/** From now on older messages are shown: new messages do not change the range. */
export function detached(book: MessageBook): MessageBook {
  return { ...book, hasLater: true }
}

/** The newest page, with the messages that arrived since it was requested. */
export function withNewest(book: MessageBook, newest: MessageRun): MessageBook {
  const since = book.hasLater ? (book.arriving ?? []) : book.stored
  return keepNewest({
    ...book,
    stored: joined(newest.messages, since),
    hasEarlier: !newest.isEnd,
    hasLater: false,
    arriving: undefined,
  })
}

/**
 * Adds the newest messages after a reconnect, read backwards until they meet the held range (`isJoined`). If they do
 * not, the held range is dropped, so that there is no gap.
 */
export function refilled(book: MessageBook, newest: MessageRun, isJoined: boolean): MessageBook {
  if (!isJoined) return withNewest({ ...book, stored: book.arriving ?? [] }, newest)
  const streaming = without(book.streaming, newest.messages)
  return keepNewest({ ...book, stored: joined(newest.messages, book.stored), streaming, arriving: undefined })
}

/** Adds messages before `first`, the oldest held. Beyond the bound the newest are dropped. */
export function withEarlier(book: MessageBook, first: Message, earlier: MessageRun): MessageBook {
  // `first` has been dropped meanwhile.
  if (book.stored[0]?.id !== first.id) return notAsking(book)
  const stored = joined(earlier.messages, book.stored)
  const isTooMuch = stored.length > messagesAtMost
  return {
    ...book,
    stored: isTooMuch ? stored.slice(0, messagesAtMost) : stored,
    hasEarlier: !earlier.isEnd,
    hasLater: book.hasLater || isTooMuch,
    arriving: undefined,
  }
}

/** Adds messages after `last`, the newest held. Beyond the bound the oldest are dropped. */
export function withLater(book: MessageBook, last: Message, later: MessageRun): MessageBook {
  if (book.stored.at(-1)?.id !== last.id) return notAsking(book)
  return keepNewest(reaching({ ...book, stored: joined(later.messages, book.stored) }, later))
}

/** Replaces the range by the messages before and after a moment. */
export function withAround(book: MessageBook, before: MessageRun, after: MessageRun): MessageBook {
  const stored = joined(before.messages, after.messages)
  return keepNewest(reaching({ ...book, stored, hasEarlier: !before.isEnd }, after))
}

/** If the page reaches the end, the messages that have arrived since then follow without a gap. */
function reaching(book: MessageBook, later: MessageRun): MessageBook {
  const stored = later.isEnd ? joined(book.stored, book.arriving ?? []) : book.stored
  return { ...book, stored, hasLater: !later.isEnd, arriving: undefined }
}

function keepNewest(book: MessageBook): MessageBook {
  if (book.stored.length <= messagesAtMost) return book
  return { ...book, stored: book.stored.slice(-messagesAtMost), hasEarlier: true }
}

/**
 * Merges two ranges, each message once. Messages that are only in the second are inserted by time;
 * those of the same millisecond as one of the first come after it.
 */
function joined(first: readonly Message[], second: readonly Message[]): readonly Message[] {
  const known = new Set(first.map(({ id }) => id))
  const added = second.filter(({ id }) => !known.has(id) && known.add(id))
  if (added.length === 0) return first
  const all = [...first, ...added]
  const isInOrder = all.every((message, index) => {
    const before = all[index - 1]
    return before === undefined || before.createdAt <= message.createdAt
  })
  // Sorting is stable.
  if (!isInOrder) all.sort((a, b) => (a.createdAt < b.createdAt ? -1 : a.createdAt > b.createdAt ? 1 : 0))
  return all
}

/** Appends chunks of messages being written, in the order of arrival. */
export function withTokens(book: MessageBook, tokens: readonly TokenFrame[], now: string): MessageBook {
  if (tokens.length === 0) return book
  const streaming = new Map(book.streaming)
  const stored = new Set(book.stored.slice(-200).map(({ id }) => id))
  for (const { sessionId, nodeId, messageId, text, agentId, isThinking } of tokens) {
    // A chunk that arrived after the whole message.
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

/** After a reconnect the server sends the text of each message being written from its beginning. */
export function withoutStreams(book: MessageBook): MessageBook {
  return book.streaming.size === 0 ? book : { ...book, streaming: new Map() }
}

function without(streaming: ReadonlyMap<string, Message>, finished: readonly Message[]): ReadonlyMap<string, Message> {
  if (!finished.some(({ id }) => streaming.has(id))) return streaming
  const rest = new Map(streaming)
  for (const { id } of finished) rest.delete(id)
  return rest
}

/** The messages up to a moment, milliseconds since 1970. */
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
