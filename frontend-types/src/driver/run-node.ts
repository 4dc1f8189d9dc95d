import type { Command } from '../generated/protocol.js'
import { randomId } from '../identifiers.js'
import { describeError } from './describe-error.js'
import { cut, encode } from './encode.js'
import type { Reporter } from './reporter.js'

export type NodeKind = 'agent' | 'chain' | 'llm' | 'tool' | 'retriever' | 'embedding' | 'guardrail' | 'human' | 'task'
export type LogLevel = 'debug' | 'info' | 'warn' | 'error'
export type Attributes = Record<string, string | number | boolean>

export interface NodeOptions {
  /** By default made of the names of the node and of those it is in. With a graph: the node's id in the graph. */
  id?: string
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

export interface NodeMessage {
  /** Of a message whose pieces were shown before. */
  id?: string
  /** Default `agent`. */
  role?: 'user' | 'agent' | 'system' | 'tool'
  agentId?: string
  isThinking?: boolean
  tokenCount?: number
  contentType?: 'text/markdown' | 'text/plain' | 'application/json'
  toolCalls?: readonly { id: string; name: string; arguments: unknown }[]
  toolCallId?: string
}

const logBytes = 64 * 1024
const contentBytes = 1024 * 1024
const errorBytes = 16 * 1024
const idBytes = 256
const nameBytes = 1024

/** What the run's nodes have in common. */
export interface NodeOwner {
  readonly reporter: Reporter
  /** Ids of the nodes that run: a second one of the same name is an instance beside the first. */
  readonly active: Set<string>
  /** The run has ended: what its steps still say comes too late. */
  isOver: boolean
}

/** A node while it runs. Nothing here throws, waits or fails because of the server. */
export class RunNode {
  readonly id: string
  readonly #owner: NodeOwner
  readonly #name: string
  #output: { value: unknown } | undefined
  #isOver = false

  /** @internal Nodes are made by `node`. */
  constructor(owner: NodeOwner, name: string, parentId: string | undefined, options: NodeOptions) {
    this.#owner = owner
    this.#name = cut(name, nameBytes)
    this.id = freeId(owner.active, cut(options.id ?? (parentId === undefined ? name : `${parentId}/${name}`), idBytes))
    owner.active.add(this.id)
    const { kind, type, input, attributes } = options
    this.#status('running', {
      name: this.#name,
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

  /** A line of its log. */
  log(text: string, level: LogLevel = 'info', attributes?: Attributes): void {
    const at = new Date().toISOString()
    const line = { type: 'addLog', nodeId: this.id, level, text: cut(asText(text), logBytes), at }
    this.#add({ ...line, ...(attributes !== undefined && { attributes }) } as unknown as Command)
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
    const { id = randomId(), ...rest } = options
    const text = cut(asText(content), contentBytes)
    this.#add({ type: 'addMessage', messageId: id, nodeId: this.id, content: text, ...rest } as unknown as Command)
  }

  /** @internal */
  completed(): void {
    this.#end('completed', this.#output === undefined ? {} : { output: this.#output.value })
  }

  /** @internal */
  failed(error: unknown): void {
    this.#end('failed', { error: cut(describeError(error), errorBytes) })
  }

  #end(status: 'completed' | 'failed', fields: Record<string, unknown>): void {
    if (this.#isOver) return
    this.#isOver = true
    this.#owner.active.delete(this.id)
    this.#status(status, { completedAt: new Date().toISOString(), ...fields })
  }

  #status(status: 'running' | 'completed' | 'failed', fields: Record<string, unknown>): void {
    this.#owner.reporter.settle(this.id)
    this.#add({ type: 'setNodeStatus', nodeId: this.id, status, ...fields } as Command, { isEssential: true })
  }

  #add(command: Command, options?: { isEssential?: boolean; replaces?: string }): void {
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
