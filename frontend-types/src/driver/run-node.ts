import type { Command, NodeUpdate } from '../generated/protocol.js'
import type { LogLevel, NodeKind } from '../generated/session.js'
import { randomId } from '../identifiers.js'
import { Cancelled } from './cancelled.js'
import type { Control } from './control.js'
import { describeError } from './describe-error.js'
import { cut, encode } from './encode.js'
import { MessageWriter, type NodeMessage } from './message-writer.js'
import type { AddOptions, Reporter } from './reporter.js'
import { type Review, reviewOf } from './review.js'

export type { LogLevel, NodeKind }
export type Attributes = Record<string, string | number | boolean>

export interface NodeOptions {
  /** By default made of the names of the node and of those it is in. With a graph: the node's id in the graph. */
  id?: string
  /** Names an instance of the node, when it runs several times at once. By default they are counted. */
  key?: string
  kind?: NodeKind
  /** A type of your own, shown beside the name. */
  type?: string
  /** What it works on. */
  input?: unknown
  attributes?: Attributes
}

export interface NodeUsage {
  model?: string
  inputTokens: number
  outputTokens: number
  cachedInputTokens?: number
  reasoningTokens?: number
  costUsd?: number
  agentId?: string
}

export interface WaitOptions {
  /** Rejects with a `TimeoutError` after so many milliseconds. By default it waits for ever. */
  timeoutMs?: number
}

export interface NodeMemory {
  agentId?: string
  metadata?: unknown
}

const logBytes = 64 * 1024
const contentBytes = 1024 * 1024
const errorBytes = 16 * 1024
const idBytes = 256
const keyBytes = 32
const nameBytes = 1024

/** What the run's nodes have in common. */
export interface NodeOwner {
  readonly sessionId: string
  readonly reporter: Reporter
  readonly control: Control
  /** Ids of the nodes that run: a second one of the same name is an instance beside the first. */
  readonly active: Set<string>
  /** The run has ended: what its steps still say comes too late. */
  isOver: boolean
}

/**
 * A node while it runs. Nothing here throws, waits or fails because of the server, except `review` and
 * `waitForSignal`, which wait for an answer.
 */
export class RunNode {
  readonly id: string
  /** Of the run. */
  readonly sessionId: string
  readonly #owner: NodeOwner
  readonly #writers = new Set<MessageWriter>()
  #output: { value: unknown } | undefined
  #isSkipped = false
  #isOver = false

  /** @internal Nodes are made by `node`. */
  constructor(owner: NodeOwner, name: string, parentId: string | undefined, options: NodeOptions) {
    this.#owner = owner
    this.sessionId = owner.sessionId
    const { key, kind, type, input, attributes } = options
    const base = cut(options.id ?? (parentId === undefined ? name : `${parentId}/${name}`), idBytes)
    this.id = freeId(owner.active, key === undefined ? base : `${base}#${cut(key, keyBytes)}`)
    owner.active.add(this.id)
    this.#status('running', {
      name: cut(name, nameBytes),
      startedAt: new Date().toISOString(),
      ...(type !== undefined && { nodeType: cut(type, nameBytes) }),
      ...(parentId !== undefined && { parentNodeId: parentId }),
      ...(kind !== undefined && { kind }),
      ...(input !== undefined && { input }),
      ...(attributes !== undefined && { attributes }),
    })
  }

  /** A step of this node. As `run.node`. */
  node<Result>(name: string, work: (node: RunNode) => Result | Promise<Result>): Promise<Result>
  node<Result>(name: string, options: NodeOptions, work: (node: RunNode) => Result | Promise<Result>): Promise<Result>
  node<Result>(
    name: string,
    first: NodeOptions | ((node: RunNode) => Result | Promise<Result>),
    second?: (node: RunNode) => Result | Promise<Result>,
  ): Promise<Result> {
    return runNode(this.#owner, name, this.id, first, second)
  }

  /** How far it is: 0 to 1. */
  progress(progress: number): void {
    if (!Number.isFinite(progress) || this.#isOver) return
    const value = Math.min(1, Math.max(0, progress))
    this.#add({ type: 'setNodeStatus', nodeId: this.id, status: 'running', progress: value }, { replaces: this.id })
  }

  /** Facts to find it by. Added to those it has. */
  attributes(attributes: Attributes): void {
    if (!this.#isOver) this.#status('running', { attributes })
  }

  /** What it works on, if that is known only now. */
  input(value: unknown): void {
    if (!this.#isOver) this.#status('running', { input: value })
  }

  /** A line of its log. */
  log(text: string, level: LogLevel = 'info', attributes?: Attributes): void {
    this.#add({
      type: 'addLog',
      nodeId: this.id,
      level,
      text: cut(asText(text), logBytes),
      at: new Date().toISOString(),
      ...(attributes !== undefined && { attributes }),
    })
  }

  /** What came of it; recorded when it ends. */
  output(value: unknown): void {
    this.#output = { value }
  }

  /** Tokens and cost of a call of a model. */
  usage(usage: NodeUsage): void {
    this.#add({ type: 'recordUsage', nodeId: this.id, ...usage }, { isEssential: true })
  }

  /** Something that was said. Markdown by default. */
  message(content: string, options: NodeMessage = {}): void {
    const { id = randomId(), toolCalls, ...rest } = options
    this.#add({
      type: 'addMessage',
      messageId: id,
      nodeId: this.id,
      content: cut(asText(content), contentBytes),
      ...rest,
      ...(toolCalls !== undefined && { toolCalls: [...toolCalls] }),
    })
  }

  /** A message that viewers see while it is written: `message.write('…')`, at the end `message.close()`. */
  writing(options: NodeMessage = {}): MessageWriter {
    const writer: MessageWriter = new MessageWriter(options.id ?? randomId(), options, {
      show: (chunk) => {
        if (!this.#isOver && !this.#owner.isOver) this.#owner.reporter.show({ nodeId: this.id, ...chunk })
      },
      store: (content, stored) => {
        this.#writers.delete(writer)
        this.message(content, stored)
      },
    })
    this.#writers.add(writer)
    return writer
  }

  /** Something to be found later by its meaning. */
  memory(content: string, options: NodeMemory = {}): void {
    this.#add({ type: 'addMemory', content, ...options })
  }

  /**
   * Suspends the node until somebody sends it a signal, and resolves with its payload. Rejects with `Cancelled`, a
   * `TimeoutError`, or a `ReliveError` when nobody can answer because nothing is reported.
   */
  waitForSignal(options: WaitOptions = {}): Promise<unknown> {
    return this.#suspended({}, options)
  }

  /** Asks for a review of `draft`, which is answered in the dashboard. Rejects as `waitForSignal`. */
  async review(draft?: unknown, options: WaitOptions = {}): Promise<Review> {
    if (draft !== undefined) this.output(draft)
    // So the dashboard shows what is asked, and the answers.
    return reviewOf(await this.#suspended({ nodeType: 'human_review', kind: 'human' }, options))
  }

  /** It ends as skipped rather than completed. */
  skip(): void {
    this.#isSkipped = true
  }

  /** @internal */
  recorded(): Promise<void> {
    return this.#owner.reporter.created
  }

  /** @internal */
  completed(): void {
    const output = this.#output === undefined ? {} : { output: this.#output.value }
    this.#end(this.#isSkipped ? 'skipped' : 'completed', output)
  }

  /** @internal */
  failed(error: unknown): void {
    const text = error instanceof Cancelled ? 'cancelled' : describeError(error)
    this.#end('failed', { error: cut(text, errorBytes) })
  }

  async #suspended(fields: Partial<NodeUpdate>, { timeoutMs }: WaitOptions): Promise<unknown> {
    const answer = this.#owner.control.signalTo(this.id, timeoutMs)
    this.#status('suspended', { ...fields, ...(this.#output !== undefined && { output: this.#output.value }) })
    try {
      return await answer
    } finally {
      if (!this.#isOver && !this.#owner.control.isCancelled) this.#status('running', {})
    }
  }

  #end(status: 'completed' | 'failed' | 'skipped', fields: Partial<NodeUpdate>): void {
    if (this.#isOver) return
    // What was written of a message is kept, also of one that nobody has closed.
    for (const writer of [...this.#writers]) writer.close()
    this.#isOver = true
    this.#owner.active.delete(this.id)
    this.#status(status, { completedAt: new Date().toISOString(), ...fields })
  }

  #status(status: NodeUpdate['status'], fields: Partial<Omit<NodeUpdate, 'status' | 'leaseSeconds'>>): void {
    this.#owner.reporter.settle(this.id)
    this.#add({ type: 'setNodeStatus', nodeId: this.id, status, ...fields }, { isEssential: true })
  }

  #add(command: Command, options?: AddOptions): void {
    if (!this.#owner.isOver) this.#owner.reporter.add(command, options)
  }
}

/** Runs `work` as a node: running before, completed or failed after. Gives and throws what `work` does. */
export async function runNode<Result>(
  owner: NodeOwner,
  name: string,
  parentId: string | undefined,
  first: NodeOptions | ((node: RunNode) => Result | Promise<Result>),
  second: ((node: RunNode) => Result | Promise<Result>) | undefined,
): Promise<Result> {
  const [options, work] = typeof first === 'function' ? [{}, first] : [first, second]
  if (work === undefined) throw new TypeError('node(name, options, work): there is no work')
  // Otherwise the node begins before this returns.
  if (owner.control.holdsNodes) await owner.control.checkpoint()
  const node = new RunNode(owner, name, parentId, options)
  try {
    const result = await work(node)
    node.completed()
    return result
  } catch (error) {
    node.failed(error)
    throw error
  }
}

/** Several at a time are instances of one node: `score`, `score#2`, `score#3`. */
function freeId(active: ReadonlySet<string>, id: string): string {
  if (!active.has(id)) return id
  let key = 2
  while (active.has(`${id}#${key}`)) key += 1
  return `${id}#${key}`
}

function asText(value: unknown): string {
  return typeof value === 'string' ? value : encode(value)
}
