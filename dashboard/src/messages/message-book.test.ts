import type { Message, TokenFrame } from '@relive/types'
import { expect, test } from 'vitest'

import {
  asking,
  detached,
  type MessageBook,
  messagesAtMost,
  noMessages,
  saidBy,
  withAround,
  withEarlier,
  withLater,
  withNewest,
  withoutStreams,
  withStored,
  withTokens,
} from './message-book'

const time = (second: number) => new Date(Date.UTC(2026, 0, 1, 0, 0, second)).toISOString()

function message(id: string, second: number, more: Partial<Message> = {}): Message {
  return {
    id,
    sessionId: 's',
    nodeId: 'n',
    role: 'agent',
    content: id,
    isThinking: false,
    isStreaming: false,
    tokenCount: 1,
    createdAt: time(second),
    ...more,
  }
}

function token(messageId: string, text: string): TokenFrame {
  return { type: 'token', sessionId: 's', nodeId: 'n', messageId, text }
}

test('messages that come twice are kept once, late ones go where they belong', () => {
  const first = withStored(noMessages, [message('a', 1), message('c', 3)])
  const second = withStored(first, [message('b', 2), message('a', 1)])
  expect(second.stored.map(({ id }) => id)).toEqual(['a', 'b', 'c'])
  expect(withStored(second, [message('b', 2)])).toBe(second)
})

test('a message that is written grows, and gives way to the stored one', () => {
  const writing = withTokens(noMessages, [token('a', 'Once '), token('a', 'upon')], time(1))
  expect(writing.streaming.get('a')).toMatchObject({ content: 'Once upon', isStreaming: true })
  const more = withTokens(writing, [token('a', ' a time')], time(2))
  expect(more.streaming.get('a')?.content).toBe('Once upon a time')
  const stored = withStored(more, [message('a', 3, { content: 'Once upon a time.' })])
  expect(stored.streaming.size).toBe(0)
  expect(stored.stored.map(({ content }) => content)).toEqual(['Once upon a time.'])
  expect(withTokens(stored, [token('a', 'late')], time(4)).streaming.size).toBe(0)
})

test('after a lost connection what is being written begins anew instead of being doubled', () => {
  const before = withTokens(noMessages, [token('a', 'Once upon')], time(1))
  const after = withTokens(withoutStreams(before), [token('a', 'Once upon a time')], time(2))
  expect(after.streaming.get('a')?.content).toBe('Once upon a time')
})

test('the number of messages is bounded, and says so', () => {
  const many = Array.from({ length: messagesAtMost + 10 }, (_, index) => message(`m${index}`, index))
  const book = withStored(noMessages, many)
  expect(book.stored).toHaveLength(messagesAtMost)
  expect(book.stored.at(-1)?.id).toBe(`m${messagesAtMost + 9}`)
  expect(book).toMatchObject({ hasEarlier: true, hasLater: false })
  const streams = Array.from({ length: 100 }, (_, index) => token(`t${index}`, 'x'))
  expect(withTokens(noMessages, streams, time(0)).streaming.size).toBe(64)
})

test('what had been said by a moment', () => {
  const stored = [message('a', 1), message('b', 2), message('c', 2), message('d', 5)]
  const ids = (second: number) => saidBy(stored, Date.parse(time(second))).map(({ id }) => id)
  expect(ids(0)).toEqual([])
  expect(ids(2)).toEqual(['a', 'b', 'c'])
  expect(saidBy(stored, Date.parse(time(9)))).toBe(stored)
})

const run = (messages: readonly Message[], isEnd = false) => ({ messages, isEnd })
const range = (from: number, to: number) =>
  Array.from({ length: to - from }, (_, index) => message(`m${from + index}`, from + index))
const ids = ({ stored }: MessageBook) => stored.map(({ id }) => id)
const firstOf = ({ stored }: MessageBook) => stored[0] ?? message('none', 0)
const lastOf = ({ stored }: MessageBook) => stored.at(-1) ?? message('none', 0)

test('what is said while the newest are read is neither lost nor doubled', () => {
  // Of what came meanwhile, the page has one and not yet the other.
  const meanwhile = withStored(asking(noMessages), [message('c', 3), message('d', 3)])
  const book = withNewest(meanwhile, run([message('a', 1), message('b', 3), message('c', 3)]))
  expect(ids(book)).toEqual(['a', 'b', 'c', 'd'])
  expect(book).toMatchObject({ hasEarlier: true, hasLater: false, arriving: undefined })
  expect(ids(withStored(book, [message('e', 4)]))).toEqual(['a', 'b', 'c', 'd', 'e'])
})

test('older messages go before those held, also those of the same millisecond', () => {
  const held = withNewest(noMessages, run([message('d', 3), message('e', 3)]))
  const book = withEarlier(
    asking(held),
    firstOf(held),
    run([message('a', 1), message('b', 3), message('c', 3), message('d', 3)], true),
  )
  expect(ids(book)).toEqual(['a', 'b', 'c', 'd', 'e'])
  expect(book.hasEarlier).toBe(false)
})

test('reading far back lets the newest go, and from then on nothing is added across the gap', () => {
  const full = withNewest(noMessages, run(range(1000, 1000 + messagesAtMost)))
  const book = withEarlier(asking(detached(full)), firstOf(full), run(range(0, 1001), true))
  expect([book.stored.length, firstOf(book).id, lastOf(book).id]).toEqual([
    messagesAtMost,
    'm0',
    `m${messagesAtMost - 1}`,
  ])
  expect(book).toMatchObject({ hasEarlier: false, hasLater: true })
  expect(withStored(book, range(7000, 7002))).toBe(book)
  // Coming back: the newest, with what was said since they were asked for.
  const back = withNewest(withStored(asking(book), range(7002, 7004)), run(range(6000, 7003)))
  expect([firstOf(back).id, lastOf(back).id, back.stored.length]).toEqual(['m6000', 'm7003', 1004])
  expect(back).toMatchObject({ hasEarlier: true, hasLater: false })
})

test('older messages are not put before others than those they were asked for', () => {
  const full = withNewest(noMessages, run(range(1000, 1000 + messagesAtMost)))
  const first = firstOf(full)
  const moved = withStored(asking(full), range(6000, 6003))
  expect(firstOf(moved).id).toBe('m1003')
  expect(ids(withEarlier(moved, first, run(range(0, 1001))))).toEqual(ids(moved))
})

test('later messages let the oldest go, and at the end live goes on', () => {
  const held = withAround(asking(noMessages), run(range(0, 3000), true), run(range(3000, messagesAtMost)))
  expect(held).toMatchObject({ hasEarlier: false, hasLater: true })
  const book = withLater(asking(held), lastOf(held), run(range(messagesAtMost - 1, messagesAtMost + 500)))
  expect([book.stored.length, firstOf(book).id]).toEqual([messagesAtMost, 'm500'])
  expect(book).toMatchObject({ hasEarlier: true, hasLater: true })
  const said = withStored(asking(book), range(5600, 5602))
  const whole = withLater(said, lastOf(said), run(range(5499, 5601), true))
  expect([lastOf(whole).id, whole.hasLater, whole.stored.length]).toEqual(['m5601', false, messagesAtMost])
  expect(lastOf(withStored(whole, range(5602, 5603))).id).toBe('m5602')
})

test('around a moment only that is held', () => {
  const full = withNewest(noMessages, run(range(20_000, 20_100)))
  const book = withAround(asking(full), run(range(5, 8)), run(range(8, 10)))
  expect(ids(book)).toEqual(['m5', 'm6', 'm7', 'm8', 'm9'])
  expect(book).toMatchObject({ hasEarlier: true, hasLater: true, arriving: undefined })
})
