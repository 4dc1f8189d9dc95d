import { Backoff, type BackoffOptions } from '../backoff.js'
import type { TokenChunk } from '../generated/protocol.js'
import { randomId } from '../identifiers.js'
import { Chunks } from './chunks.js'
import type { Answer, Sender } from './sender.js'

/** How much may wait to be sent. */
export interface OutboxLimits {
  /** Commands. Default 10 000. */
  commands?: number
  /** Bytes of their JSON. Default 16 MiB. */
  bytes?: number
}

interface Entry {
  readonly text: string
  /** Replaced by the next one of the same key while it waits: only the newest counts. */
  readonly replaces: string | undefined
}

/** Commands of one request. */
const batchCommands = 500
/** Bytes of one request; the server takes 1 MiB. */
const batchBytes = 900 * 1024

/** Between two requests that only show what is being written, in milliseconds. */
const paceMs = 50

/** Why something was not recorded. */
export type Dropped = 'full' | 'refused' | 'over'

export interface OutboxListener {
  /** The server has refused a command for good. */
  refused(answer: Answer): void
  dropped(why: Dropped): void
}

/**
 * The queue of commands of one session: sent in order, in batches of what has accumulated, each batch with one
 * `Idempotency-Key` until it is answered. Bounded; at the bound, commands that are not essential are dropped.
 */
export class Outbox {
  readonly #sender: Sender
  readonly #listener: OutboxListener
  readonly #backoff: Backoff
  readonly #most: Required<OutboxLimits>
  #queue: Entry[] = []
  #bytes = 0
  /** Of the queue, by key: the entry that a newer one replaces. */
  readonly #replaceable = new Map<string, Entry>()
  readonly #chunks = new Chunks()
  #pump: Promise<void> | undefined
  /** Commands of the batch that is being sent. */
  #underWay = 0
  #isOver = false
  #wake: (() => void) | undefined
  /** Ends the wait between pieces of messages. */
  #hurry: (() => void) | undefined

  constructor(sender: Sender, listener: OutboxListener, limits: OutboxLimits, backoff: BackoffOptions | undefined) {
    this.#sender = sender
    this.#listener = listener
    this.#most = { commands: limits.commands ?? 10_000, bytes: limits.bytes ?? 16 * 1024 * 1024 }
    this.#backoff = new Backoff(backoff)
  }

  /** Commands that have no answer yet. */
  get size(): number {
    return this.#queue.length + this.#underWay
  }

  /**
   * Takes the JSON of a command. At the bound, only `isEssential` commands are accepted; at twice the
   * bound, none.
   */
  add(text: string, { isEssential = false, replaces }: { isEssential?: boolean; replaces?: string } = {}): void {
    if (this.#isOver) {
      this.#listener.dropped('over')
      return
    }
    const entry: Entry = { text, replaces }
    const before = replaces === undefined ? undefined : this.#replaceable.get(replaces)
    if (replaces !== undefined) this.#replaceable.set(replaces, entry)
    if (before !== undefined) {
      this.#queue[this.#queue.lastIndexOf(before)] = entry
      this.#bytes += text.length - before.text.length
      return
    }
    const factor = isEssential ? 2 : 1
    if (this.#queue.length >= this.#most.commands * factor || this.#bytes + text.length > this.#most.bytes * factor) {
      if (replaces !== undefined) this.#replaceable.delete(replaces)
      this.#listener.dropped('full')
      return
    }
    this.#queue.push(entry)
    this.#bytes += text.length
    this.#begin()
    this.#hurry?.()
  }

  /** Shows viewers a piece of a message, if it is sent in time. */
  show(chunk: TokenChunk): void {
    if (!this.#isOver && this.#chunks.add(chunk)) this.#begin()
  }

  /** What follows does not replace what was added before: a new attempt, or another status. */
  settle(key: string): void {
    this.#replaceable.delete(key)
  }

  /** Resolves when nothing waits any more, or after so many milliseconds. True: nothing waits. */
  async flush(milliseconds: number): Promise<boolean> {
    const pump = this.#pump
    if (pump === undefined) return true
    this.#hurry?.()
    let timer: ReturnType<typeof setTimeout> | undefined
    const late = new Promise<false>((resolve) => (timer = setTimeout(() => resolve(false), milliseconds)))
    const isDone = await Promise.race([pump.then(() => true as const), late])
    clearTimeout(timer)
    return isDone
  }

  /** Nothing more is sent; what waits is dropped. */
  end(): void {
    this.#isOver = true
    for (let left = this.size; left > 0; left -= 1) this.#listener.dropped('over')
    this.#queue = []
    this.#underWay = 0
    this.#bytes = 0
    this.#chunks.clear()
    this.#wake?.()
    this.#hurry?.()
  }

  #begin(): void {
    this.#pump ??= this.#run().finally(() => (this.#pump = undefined))
  }

  async #run(): Promise<void> {
    // Commands of one synchronous block are sent together.
    await Promise.resolve()
    while (!this.#isOver && (this.#queue.length > 0 || !this.#chunks.isEmpty)) {
      // Before the commands, one of which may store the whole message.
      await this.#sender.show(this.#chunks.take())
      if (this.#isOver) return
      if (this.#queue.length > 0) await this.#deliver(this.#take())
      else await this.#pause(paceMs, (wake) => (this.#hurry = wake))
    }
  }

  #take(): readonly string[] {
    const texts: string[] = []
    let bytes = 0
    for (const { text } of this.#queue) {
      if (texts.length === batchCommands || (texts.length > 0 && bytes + text.length > batchBytes)) break
      texts.push(text)
      bytes += text.length
    }
    for (const { replaces } of this.#queue.splice(0, texts.length))
      if (replaces !== undefined) this.#replaceable.delete(replaces)
    this.#bytes -= bytes
    return texts
  }

  /** Sends until it is answered. A batch is carried out whole or not at all: of a refused one, each half is tried. */
  async #deliver(texts: readonly string[]): Promise<void> {
    const answer = await this.#send(texts)
    if (answer === undefined || answer.isAccepted) return
    // Each of its commands would be refused.
    const isFinal = answer.isFinal || (answer.code === 'illegal_transition' && (await this.#sender.hasEnded()))
    if (texts.length === 1 || isFinal) {
      for (const _ of texts) this.#listener.dropped('refused')
      this.#listener.refused({ ...answer, isFinal })
      return
    }
    const half = Math.ceil(texts.length / 2)
    await this.#deliver(texts.slice(0, half))
    if (this.#isOver) for (const _ of texts.slice(half)) this.#listener.dropped('over')
    else await this.#deliver(texts.slice(half))
  }

  async #send(texts: readonly string[]): Promise<Answer | undefined> {
    const key = randomId()
    this.#underWay = texts.length
    while (!this.#isOver) {
      const answer = await this.#sender.send(`[${texts.join(',')}]`, key)
      if (this.#isOver) return undefined
      if (!answer.isRetryable) {
        this.#underWay = 0
        this.#backoff.reset()
        return answer
      }
      await this.#pause(Math.max(this.#backoff.next(), answer.retryAfterMs ?? 0), (wake) => (this.#wake = wake))
    }
    return undefined
  }

  #pause(milliseconds: number, waking: (wake: () => void) => void): Promise<void> {
    return new Promise((resolve) => {
      const timer = setTimeout(resolve, milliseconds)
      waking(() => {
        clearTimeout(timer)
        resolve()
      })
    })
  }
}
