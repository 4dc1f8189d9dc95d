import { ReliveError } from './errors.js'
import type { ClientFrame, Command, CommandReceipt, ServerFrame } from './generated/protocol.js'
import { randomId } from './identifiers.js'

export interface CommandOptions {
  /** Names the request, so that it is carried out once however often it is sent. Made up when left out. */
  commandId?: string
  /** Refuse with `revision_conflict` when the session has moved on from this revision. */
  expectedRevision?: number
  /** The sender drives the session, and renews its lease: 5 to 3600. */
  leaseSeconds?: number
}

type CommandMessage = Extract<ClientFrame, { type: 'command' }>

interface Pending {
  readonly frame: CommandMessage
  readonly resolve: (receipt: CommandReceipt) => void
  readonly reject: (error: ReliveError) => void
}

/** The commands not yet answered, in the order they were given. */
export class PendingCommands {
  readonly #limit: number
  readonly #pending = new Map<string, Pending>()
  #lastId = 0

  constructor(limit: number) {
    this.#limit = limit
  }

  get size(): number {
    return this.#pending.size
  }

  /** Keeps a command until it is answered; `send` gets its frame. */
  add(
    sessionId: string,
    command: Command | readonly Command[],
    { commandId = randomId(), expectedRevision, leaseSeconds }: CommandOptions,
    send: (frame: CommandMessage) => void,
  ): Promise<CommandReceipt> {
    if (this.#pending.size >= this.#limit) {
      const message = `${this.#limit} commands are waiting for an answer already`
      return Promise.reject(new ReliveError('unavailable', message))
    }
    this.#lastId += 1
    const id = String(this.#lastId)
    const frame: CommandMessage = {
      type: 'command',
      id,
      sessionId,
      ...(isSeveral(command) ? { commands: [...command] } : { command }),
      commandId,
      ...(expectedRevision !== undefined && { expectedRevision }),
      ...(leaseSeconds !== undefined && { leaseSeconds }),
    }
    return new Promise((resolve, reject) => {
      this.#pending.set(id, { frame, resolve, reject })
      send(frame)
    })
  }

  /** After a reconnection: what was sent before may have been carried out or not; its id settles that. */
  resend(send: (frame: CommandMessage) => void): void {
    for (const { frame } of this.#pending.values()) send(frame)
  }

  /** True when the frame answers one of these commands. */
  answered(frame: ServerFrame): boolean {
    if (frame.type !== 'ack' && frame.type !== 'error') return false
    if (frame.id === undefined) return false
    const pending = this.#pending.get(frame.id)
    if (pending === undefined) return false
    this.#pending.delete(frame.id)
    if (frame.type === 'ack') {
      const { revision, duplicate } = frame
      pending.resolve(duplicate === undefined ? { revision } : { revision, duplicate })
    } else {
      pending.reject(new ReliveError(frame.code, frame.message, frame.retryable))
    }
    return true
  }

  fail(error: ReliveError): void {
    const all = [...this.#pending.values()]
    this.#pending.clear()
    for (const { reject } of all) reject(error)
  }
}

// `Array.isArray` alone does not tell a readonly array from its element.
function isSeveral(command: Command | readonly Command[]): command is readonly Command[] {
  return Array.isArray(command)
}
