import type { Message, TokenFrame } from '@relive/types'
import { expect, test } from 'vitest'

import { messagesAtMost, noMessages, saidBy, withoutStreams, withStored, withTokens } from './message-book'

const time = (second: number) => new Date(Date.UTC(2026, 0, 1, 0, 0, second)).toISOString()

function message(id: string, second: number, more: Partial<Message> = {}): Message {
  return { id, sessionId: 's', nodeId: 'n', role: 'agent', content: id, isThinking: false, isStreaming: false, tokenCount: 1, createdAt: time(second), ...more }
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
  expect(book.isCutOff).toBe(true)
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
