import type { Message, MessagePage, ReplayState } from '@relive/types'
import { expect, test } from 'vitest'

import { initialState, type SessionState } from '../session/state'
import { FrameStore } from '../store/frame-store'
import { messagesAtMost, noMessages, saidBy, withStored } from './message-book'
import { type MessageQuery, MessageReader, nextRead, pageSize } from './message-reader'

const start = Date.UTC(2026, 0, 1)

/** Every tenth millisecond one, or as many as `atOnce` of the same. */
function said(count: number, atOnce = 1): Message[] {
  return Array.from({ length: count }, (_, index) => {
    const createdAt = new Date(start + Math.floor(index / atOnce) * 10).toISOString()
    return {
      id: `m${index}`,
      sessionId: 's',
      nodeId: 'n',
      role: 'agent',
      content: '',
      isThinking: false,
      isStreaming: false,
      tokenCount: 1,
      createdAt,
    }
  })
}

/** A page as the server cuts it; its cursors are ids. */
function pageOf(messages: readonly Message[], { order, limit, since, until, after }: MessageQuery): MessagePage {
  let found = messages.filter(
    ({ createdAt }) => (since === undefined || createdAt >= since) && (until === undefined || createdAt <= until),
  )
  if (order === 'desc') found = found.reverse()
  if (after !== undefined) found = found.slice(found.findIndex(({ id }) => id === after) + 1)
  const last = found[limit - 1]
  return { messages: found.slice(0, limit), ...(found.length > limit && last !== undefined && { nextAfter: last.id }) }
}

function opened(messages: Message[]) {
  const store = new FrameStore<SessionState>(initialState('s'), (run) => queueMicrotask(run))
  const asked: MessageQuery[] = []
  const waiting: (() => void)[] = []
  let underWay = 0
  let mostUnderWay = 0
  const reader = new MessageReader(store, async (query) => {
    asked.push(query)
    underWay += 1
    mostUnderWay = Math.max(mostUnderWay, underWay)
    const page = pageOf(messages, query)
    await new Promise<void>((resolve) => waiting.push(resolve))
    underWay -= 1
    return page
  })
  store.subscribe(() => reader.follow())
  const turn = () => new Promise<void>((resolve) => setTimeout(resolve))
  return {
    store,
    reader,
    asked,
    mostUnderWay: () => mostUnderWay,
    turn,
    /** Lets every request be answered, until no more are made. */
    settle: async () => {
      for (await turn(); waiting.length > 0; await turn()) waiting.splice(0).forEach((answer) => answer())
    },
    look: (moment: number | undefined) => {
      const state = { at: new Date(moment ?? 0).toISOString() } as ReplayState
      store.update({
        replay:
          moment === undefined
            ? undefined
            : { session: undefined, state, receivedAt: 0, target: undefined, isSeeking: false, isConnected: true },
      })
    },
    shown: (moment: number) => saidBy(store.latest.book.stored, moment).map(({ id }) => id),
    ids: () => store.latest.book.stored.map(({ id }) => id),
  }
}

const idsOf = (from: number, to: number) => Array.from({ length: to - from }, (_, index) => `m${from + index}`)

test('a run is read from its end: the newest page, then older ones as far as the book goes', async () => {
  const open = opened(said(7200))
  open.reader.follow()
  expect(open.asked).toEqual([])
  open.reader.open()
  open.reader.open()
  await open.settle()
  expect(open.asked[0]).toEqual({ order: 'desc', limit: pageSize })
  expect(open.asked.length).toBeLessThanOrEqual(5)
  const { stored, hasEarlier, hasLater } = open.store.latest.book
  expect([stored.at(-1)?.id, hasEarlier, hasLater]).toEqual(['m7199', true, false])
  expect(stored.length).toBeGreaterThan(messagesAtMost - pageSize)
  expect(open.ids()).toEqual(idsOf(7200 - stored.length, 7200))
  expect(open.mostUnderWay()).toBe(1)
})

test('a short run is read once, and then never again', async () => {
  const open = opened(said(1500))
  open.reader.open()
  await open.settle()
  const { length } = open.asked
  expect(open.ids()).toEqual(idsOf(0, 1500))
  for (const moment of [start, start + 5000, undefined]) {
    open.look(moment)
    await open.settle()
  }
  expect(open.asked).toHaveLength(length)
})

test('earlier messages at will, back to the first, and the newest again', async () => {
  const open = opened(said(7200))
  open.reader.open()
  await open.settle()
  for (let turns = 0; open.store.latest.book.hasEarlier && turns < 10; turns += 1) {
    open.reader.readEarlier()
    await open.settle()
  }
  expect(open.ids()).toEqual(idsOf(0, messagesAtMost))
  expect(open.store.latest.book.hasLater).toBe(true)
  open.reader.readLater()
  await open.settle()
  expect(open.ids().at(-1)).toBe('m5998')
  open.reader.readNewest()
  await open.settle()
  expect(open.ids().at(-1)).toBe('m7199')
  expect(open.store.latest.book.hasLater).toBe(false)
})

test('a moment of long ago is read around, and what was said by then is all there', async () => {
  const open = opened(said(20_000))
  open.reader.open()
  await open.settle()
  const moment = start + 30_000 + 5
  open.look(moment)
  await open.settle()
  expect(open.shown(moment).slice(-1000)).toEqual(idsOf(2001, 3001))
  open.look(undefined)
  await open.settle()
  expect(open.ids().at(-1)).toBe('m19999')
})

test('while a replay plays, pages are read ahead, one at a time, and far fewer than moments', async () => {
  const open = opened(said(20_000))
  open.reader.open()
  await open.settle()
  open.look(start)
  await open.settle()
  const before = open.asked.length
  for (let index = 0; index < 9000; index += 30) {
    open.look(start + index * 10)
    await open.settle()
    expect(open.shown(start + index * 10).at(-1)).toBe(`m${index}`)
  }
  expect(open.asked.length - before).toBeLessThanOrEqual(10)
  expect(open.mostUnderWay()).toBe(1)
})

test('a scrubber that moves on while a page is read asks for the last place only', async () => {
  const open = opened(said(20_000))
  open.reader.open()
  await open.settle()
  const before = open.asked.length
  for (let index = 10_000; index > 0; index -= 10) {
    open.look(start + index * 10)
    await open.turn()
  }
  await open.settle()
  expect(open.shown(start + 100).at(-1)).toBe('m10')
  expect(open.asked.length - before).toBeLessThanOrEqual(4)
})

test('messages of one and the same time are walked through', async () => {
  const open = opened(said(9000, 2500))
  open.reader.open()
  await open.settle()
  for (let turns = 0; open.store.latest.book.hasEarlier && turns < 20; turns += 1) {
    open.reader.readEarlier()
    await open.settle()
  }
  expect(open.ids()).toEqual(idsOf(0, messagesAtMost))
})

test('what is said while pages are read stands at the end, once', async () => {
  const messages = said(3000)
  const open = opened(messages)
  const more = said(3200).slice(3000)
  open.reader.open()
  for (const message of more) {
    // The server has it before anybody is told.
    messages.push(message)
    open.store.update((state) => ({ ...state, book: withStored(state.book, [message]) }))
    if (message.id.endsWith('0')) await open.turn()
  }
  await open.settle()
  expect(open.ids()).toEqual(idsOf(0, 3200))
})

test('older messages come to a full book even while more is said', async () => {
  const open = opened(said(7200))
  open.reader.open()
  await open.settle()
  open.store.update((state) => ({ ...state, book: withStored(state.book, said(7204).slice(7200)) }))
  const first = open.ids()[0]
  open.reader.readEarlier()
  open.store.update((state) => ({ ...state, book: withStored(state.book, said(7210).slice(7204)) }))
  await open.settle()
  expect(open.ids()[0]).not.toBe(first)
  expect(open.store.latest.book.hasLater).toBe(true)
})

test('what cannot be read is not asked for again by itself', async () => {
  const store = new FrameStore<SessionState>(initialState('s'), (run) => queueMicrotask(run))
  let asked = 0
  const reader = new MessageReader(store, () => {
    asked += 1
    return Promise.resolve(undefined)
  })
  reader.open()
  await new Promise((resolve) => setTimeout(resolve))
  for (let turn = 0; turn < 5; turn += 1) reader.follow()
  expect(asked).toBe(1)
  expect(store.latest.book.arriving).toBeUndefined()
})

test('a moment that one more page does not reach is far away', () => {
  const book = { ...noMessages, stored: said(1000), hasLater: true }
  const moment = start + 50_000
  expect(nextRead(book, moment, undefined)).toEqual({ to: 'later' })
  expect(nextRead(book, moment, { to: 'later' })).toEqual({ to: 'around', moment })
  expect(nextRead(book, start + 100, undefined)).toBeUndefined()
  expect(nextRead({ ...book, hasEarlier: true }, start - 1, undefined)).toEqual({ to: 'around', moment: start - 1 })
})
