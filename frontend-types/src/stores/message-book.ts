import type { Message } from '../generated/session.js'
import type { TokenFrame } from '../subscription.js'

/** A run's messages: a stretch of those that are stored, and those still being written. */
export interface MessageBook {
  /** In the order in which they were said, with none missing in between. */
  readonly stored: readonly Message[]
  /** By id; their text is what has arrived so far. */
  readonly streaming: ReadonlyMap<string, Message>
  /** Whether older ones exist than those held. */
  readonly hasEarlier: boolean
  /** Whether newer ones exist than those held. What is said now would leave a gap, and is not added. */
  readonly hasLater: boolean
  /** What has been said since a page was asked for, which may not have it; `undefined` while none is. */
  readonly arriving: readonly Message[] | undefined
}

/** What was read from one place on. */
export interface MessageRun {
  /** Oldest first, whichever way it was read. */
  readonly messages: readonly Message[]
  /** Whether there is nothing beyond, in the direction in which it was read. */
  readonly isEnd: boolean
}

export const messagesAtMost = 5000
/** As many as the server keeps for a session; one more, and the oldest is given up. */
const streamsAtMost = 64
/** Characters of a message being written that are shown; the stored one comes whole. */
const streamLength = 1_048_576

export const noMessages: MessageBook = {
  stored: [],
  streaming: new Map(),
  hasEarlier: false,
  hasLater: false,
  arriving: undefined,
}

/** Adds what was said just now, each message once. Beyond the bound the oldest are let go. */
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

/** A page is about to be read: what is said meanwhile is kept aside, too. */
export function asking(book: MessageBook): MessageBook {
  return { ...book, arriving: [] }
}

/** A page was asked for, and will not come. */
export function notAsking(book: MessageBook): MessageBook {
  return book.arriving === undefined ? book : { ...book, arriving: undefined }
}

/** From now on older messages are looked at: the book stays where it is, whatever is said. */
export function detached(book: MessageBook): MessageBook {
  return { ...book, hasLater: true }
}

/** The newest, with what has been said since they were asked for. */
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
 * What was said while nothing could be received, and before: read backwards until it met what is held
 * (`isJoined`). If it did not, what is held is let go, so that there is no gap.
 */
export function refilled(book: MessageBook, newest: MessageRun, isJoined: boolean): MessageBook {
  if (!isJoined) return withNewest({ ...book, stored: book.arriving ?? [] }, newest)
  const streaming = without(book.streaming, newest.messages)
  return keepNewest({ ...book, stored: joined(newest.messages, book.stored), streaming, arriving: undefined })
}

/** What was said up to `first`, the oldest held. Beyond the bound the newest are let go. */
export function withEarlier(book: MessageBook, first: Message, earlier: MessageRun): MessageBook {
  // What it was to be put before has been let go meanwhile.
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

/** What was said from `last` on, the newest held. Beyond the bound the oldest are let go. */
export function withLater(book: MessageBook, last: Message, later: MessageRun): MessageBook {
  if (book.stored.at(-1)?.id !== last.id) return notAsking(book)
  return keepNewest(reaching({ ...book, stored: joined(later.messages, book.stored) }, later))
}

/** What was said before and after a moment, instead of what was held. */
export function withAround(book: MessageBook, before: MessageRun, after: MessageRun): MessageBook {
  const stored = joined(before.messages, after.messages)
  return keepNewest(reaching({ ...book, stored, hasEarlier: !before.isEnd }, after))
}

/** Once the end is reached, what has been said since follows without a gap. */
function reaching(book: MessageBook, later: MessageRun): MessageBook {
  const stored = later.isEnd ? joined(book.stored, book.arriving ?? []) : book.stored
  return { ...book, stored, hasLater: !later.isEnd, arriving: undefined }
}

function keepNewest(book: MessageBook): MessageBook {
  if (book.stored.length <= messagesAtMost) return book
  return { ...book, stored: book.stored.slice(-messagesAtMost), hasEarlier: true }
}

/**
 * Two stretches as one, each message once. What only the second has goes where it belongs in time;
 * what was said in the same millisecond as something in the first comes after it.
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
