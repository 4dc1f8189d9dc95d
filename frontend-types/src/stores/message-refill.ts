import type { ReliveClient } from '../client.js'
import type { MessagePage } from '../generated/protocol.js'
import type { Message } from '../generated/session.js'
import { type MessageRun, messagesAtMost } from './message-book.js'
import { ask } from './requests.js'

/** Messages of the first page. */
const firstPage = 200
/** Messages of a further page, as many as the server allows. */
const furtherPage = 1000

/** Asks for pages of messages; those of a session are read with `readNewest` and `readBefore`. */
async function page(client: ReliveClient, sessionId: string, query: Record<string, string>): Promise<MessagePage> {
  const search = new URLSearchParams({ order: 'desc', ...query }).toString()
  return ask(client, `/sessions/${encodeURIComponent(sessionId)}/messages?${search}`)
}

/** What was read, oldest first, and whether it meets what is held. */
export interface Refill extends MessageRun {
  readonly isJoined: boolean
}

/** The newest messages: a page, or if some are held as many as it takes to meet them. */
export async function readNewest(client: ReliveClient, sessionId: string, held: readonly Message[]): Promise<Refill> {
  const known = new Set(held.map(({ id }) => id))
  const found: Message[] = []
  let after: string | undefined
  do {
    const limit = String(after === undefined ? firstPage : furtherPage)
    const read = await page(client, sessionId, { limit, ...(after !== undefined && { after }) })
    found.push(...read.messages)
    after = read.nextAfter
    const isJoined = read.messages.some(({ id }) => known.has(id))
    if (isJoined || after === undefined || known.size === 0)
      return { messages: found.reverse(), isEnd: after === undefined, isJoined }
  } while (found.length < messagesAtMost)
  return { messages: found.reverse(), isEnd: false, isJoined: false }
}

/** A page of what was said before `first`; several if they have nothing that is not held. */
export async function readBefore(
  client: ReliveClient,
  sessionId: string,
  first: Message,
  held: readonly Message[],
): Promise<MessageRun> {
  const known = new Set(held.map(({ id }) => id))
  const found: Message[] = []
  let after: string | undefined
  do {
    const query = { until: first.createdAt, limit: String(furtherPage) }
    const read = await page(client, sessionId, { ...query, ...(after !== undefined && { after }) })
    found.push(...read.messages)
    after = read.nextAfter
    if (read.messages.some(({ id }) => !known.has(id))) break
  } while (after !== undefined && found.length < messagesAtMost)
  return { messages: found.reverse(), isEnd: after === undefined }
}
