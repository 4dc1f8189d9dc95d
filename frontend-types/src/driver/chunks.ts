import type { TokenChunk } from '../generated/protocol.js'

/** Characters that are kept until they are sent. Chunks may get lost: the whole message follows. */
const charactersAtMost = 256 * 1024
/** Chunks of one request. */
const chunksAtMost = 500

/** What is being written, gathered by message until it is sent. */
export class Chunks {
  readonly #held = new Map<string, TokenChunk>()
  #characters = 0

  get isEmpty(): boolean {
    return this.#held.size === 0
  }

  /** False if too much is kept already. */
  add(chunk: TokenChunk): boolean {
    if (this.#characters + chunk.text.length > charactersAtMost) return false
    const held = this.#held.get(chunk.messageId)
    if (held === undefined && this.#held.size >= chunksAtMost) return false
    this.#characters += chunk.text.length
    this.#held.set(chunk.messageId, held === undefined ? chunk : { ...held, text: held.text + chunk.text })
    return true
  }

  take(): TokenChunk[] {
    const taken = [...this.#held.values()]
    this.clear()
    return taken
  }

  clear(): void {
    this.#held.clear()
    this.#characters = 0
  }
}
