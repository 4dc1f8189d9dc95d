import type { BackoffOptions } from '../backoff.js'
import type { GraphDefinition } from '../generated/graph.js'
import type { Command, CreateSession, LabelFields } from '../generated/protocol.js'
import { timeOrderedId } from '../identifiers.js'
import { httpUrl } from '../web-socket.js'
import { Cancelled } from './cancelled.js'
import { Control } from './control.js'
import { describeError } from './describe-error.js'
import { cut } from './encode.js'
import { isOn, variable } from './environment.js'
import type { OutboxLimits } from './outbox.js'
import { type Reporter, type ReportProblem, ServerReporter, silent } from './reporter.js'
import { type NodeMemory, type NodeOptions, type NodeOwner, RunNode, runNode } from './run-node.js'

export interface RunOptions {
  /** The session's id, a UUID. By default a new one. */
  id?: string
  /** The server's base address. Default `RELIVE_URL`, or http://127.0.0.1:7400. */
  url?: string
  /** A key or an access token, or a function that gives one. Default `RELIVE_TOKEN`. */
  token?: string | (() => string | Promise<string>)
  /** Reports nothing. Default `RELIVE_DISABLED`. */
  disabled?: boolean
  tags?: readonly string[]
  metadata?: Record<string, string | number | boolean>
  inputs?: unknown
  groupId?: string
  workflowId?: string
  /** The nodes and what follows what, if it is known before. Nodes are then named by their ids in it. */
  graph?: GraphDefinition
  /** What is proposed for a decision; `run.proposal` sets it later. */
  proposal?: unknown
  /** The run, or its node, that this one belongs to. */
  parent?: Run | RunNode
  /** Seconds, 5 to 3600, after which the run is shown as stalled when this program was killed. Default 60. */
  leaseSeconds?: number
  /** How long to wait at the end for what has not been sent yet, in milliseconds. Default 5 000. */
  flushMs?: number
  /** How much may wait to be sent. Beyond it, what is not essential is dropped. */
  limits?: OutboxLimits
  backoff?: BackoffOptions
  /** Called with what could not be recorded. Default `console.warn`. */
  onProblem?: (problem: ReportProblem) => void
}

/** A run while it goes on. Nothing here throws, waits or fails because of the server. */
export class Run {
  /** The session's id, which this program has chosen. */
  readonly id: string
  /** Where the run is shown in a browser. */
  readonly url: string
  /** Aborted when the run was stopped or cancelled by somebody else, with a `Cancelled` as its reason. */
  readonly signal: AbortSignal
  readonly #owner: NodeOwner
  readonly #control: Control
  #outputs: { value: unknown } | undefined

  /** @internal Runs are made by `run`. */
  constructor(id: string, url: string, control: Control, reporter: Reporter) {
    this.id = id
    this.url = url
    this.signal = control.signal
    this.#control = control
    this.#owner = { sessionId: id, reporter, control, active: new Set(), isOver: false }
  }

  /** Somebody has paused it: the next node waits until it is resumed. */
  get isPaused(): boolean {
    return this.#control.isPaused
  }

  /** Waits while the run is paused. Rejects with `Cancelled` if somebody has ended it. Nodes do so as they begin. */
  checkpoint(): Promise<void> {
    return this.#control.checkpoint()
  }

  /**
   * Runs `work` as a node of this run: shown as running, then as completed, or as failed with what it threw. Resolves
   * with what `work` gives. Nodes of the same name one after the other are attempts of one; at the same time they are
   * instances beside each other. While the run is paused it waits before it begins; when somebody has ended the run it
   * rejects with `Cancelled`.
   */
  node<Result>(name: string, work: (node: RunNode) => Result | Promise<Result>): Promise<Result>
  node<Result>(name: string, options: NodeOptions, work: (node: RunNode) => Result | Promise<Result>): Promise<Result>
  node<Result>(
    name: string,
    first: NodeOptions | ((node: RunNode) => Result | Promise<Result>),
    second?: (node: RunNode) => Result | Promise<Result>,
  ): Promise<Result> {
    return runNode(this.#owner, name, undefined, first, second)
  }

  /** A value that viewers see beside the nodes; `null` removes it. */
  context(key: string, value: unknown): void {
    this.#add({ type: 'setContext', key, value: value ?? null })
  }

  /** What came of the run; recorded when it completes. */
  outputs(value: unknown): void {
    this.#outputs = { value }
  }

  /** What is proposed for a decision. */
  proposal(value: unknown): void {
    this.#add({ type: 'setProposal', proposal: value ?? null })
  }

  /** Replaces the name, the tags or the metadata. */
  labels(labels: LabelFields): void {
    this.#add({ type: 'setLabels', ...labels })
  }

  /** Something to be found later by its meaning. */
  memory(content: string, options: NodeMemory = {}): void {
    this.#add({ type: 'addMemory', content, ...options })
  }

  /** @internal */
  recorded(): Promise<void> {
    return this.#owner.reporter.created
  }

  /** @internal */
  started(): void {
    this.#owner.reporter.start()
  }

  /** @internal */
  completed(): void {
    // Not awaited: nobody will say any more how they ended, and a run with running nodes cannot complete.
    for (const nodeId of this.#owner.active) {
      const error = 'the run ended before this node did'
      this.#add({ type: 'setNodeStatus', nodeId, status: 'failed', error })
    }
    this.#end({ type: 'complete', ...(this.#outputs !== undefined && { outputs: this.#outputs.value }) })
  }

  /** @internal */
  failed(error: unknown): void {
    if (error instanceof Cancelled) this.#end({ type: 'cancel', reason: cut(error.message, 1_000) })
    else this.#end({ type: 'fail', error: cut(describeError(error), 16 * 1024) })
  }

  #end(command: Command): void {
    this.#control.over()
    this.#add(command)
    this.#owner.isOver = true
  }

  #add(command: Command): void {
    // Somebody else has ended it: the server takes nothing more.
    if (!this.signal.aborted && !this.#owner.isOver) this.#owner.reporter.add(command, { isEssential: true })
  }
}

type Work<Result> = (run: Run) => Result | Promise<Result>

/**
 * Runs `work` and records it as a session: created and started at once, completed with its end, failed with what it
 * throws. Gives and throws what `work` does. A server that is away neither fails nor slows it; at the end it is
 * waited for, at most `flushMs`.
 */
export function run<Result>(name: string, work: Work<Result>): Promise<Result>
export function run<Result>(name: string, options: RunOptions, work: Work<Result>): Promise<Result>
export async function run<Result>(
  name: string,
  first: RunOptions | Work<Result>,
  second?: Work<Result>,
): Promise<Result> {
  const [options, work] = typeof first === 'function' ? [{}, first] : [first, second]
  if (work === undefined) throw new TypeError('run(name, options, work): there is no work')
  const id = options.id ?? timeOrderedId()
  const url = options.url ?? variable('RELIVE_URL') ?? 'http://127.0.0.1:7400'
  const control = new Control()
  const reporter = reporterOf(name, id, url, options, control)
  const current = new Run(id, pageOf(url, id), control, reporter)
  current.started()
  try {
    const result = await work(current)
    current.completed()
    return result
  } catch (error) {
    current.failed(error)
    throw error
  } finally {
    await reporter.end(options.flushMs ?? 5_000)
  }
}

function reporterOf(name: string, id: string, url: string, options: RunOptions, control: Control): Reporter {
  if (options.disabled ?? isOn('RELIVE_DISABLED')) return silent(control)
  const token = options.token ?? variable('RELIVE_TOKEN')
  const { tags, metadata, inputs, proposal, groupId, workflowId, graph, parent } = options
  const session: CreateSession = {
    id,
    name: Array.from(name).slice(0, 200).join(''),
    ...(tags !== undefined && { tags: [...tags] }),
    ...(metadata !== undefined && { metadata }),
    ...(inputs !== undefined && { inputs }),
    ...(proposal !== undefined && { proposal }),
    ...(groupId !== undefined && { groupId }),
    ...(workflowId !== undefined && { workflowId }),
    ...(graph !== undefined && { graph }),
    ...parentOf(parent),
  }
  const { limits = {}, backoff, leaseSeconds = 60, onProblem } = options
  const after = parent?.recorded()
  const reporting = { url, token, sessionId: id, session, after, limits, backoff, leaseSeconds, onProblem }
  return new ServerReporter(reporting, control)
}

function parentOf(parent: Run | RunNode | undefined): Pick<CreateSession, 'parentSessionId' | 'parentNodeId'> {
  if (parent === undefined) return {}
  if (parent instanceof RunNode) return { parentSessionId: parent.sessionId, parentNodeId: parent.id }
  return { parentSessionId: parent.id }
}

function pageOf(url: string, id: string): string {
  try {
    return httpUrl(url, `/sessions/${id}`)
  } catch {
    return url
  }
}
