import type { BackoffOptions } from '../backoff.js'
import { ReliveError } from '../errors.js'
import type { GraphDefinition } from '../generated/graph.js'
import type { Command, CreateSession } from '../generated/protocol.js'
import { timeOrderedId } from '../identifiers.js'
import { httpUrl } from '../web-socket.js'
import { describeError } from './describe-error.js'
import { cut } from './encode.js'
import { isOn, variable } from './environment.js'
import type { OutboxLimits } from './outbox.js'
import { type Reporter, type ReportProblem, ServerReporter, silent } from './reporter.js'
import { type NodeOptions, type NodeOwner, type RunNode, runNode } from './run-node.js'

export interface RunOptions {
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
  /** Aborted when the session was stopped or cancelled by somebody else, with a `ReliveError` as its reason. */
  readonly signal: AbortSignal
  readonly #owner: NodeOwner
  #outputs: { value: unknown } | undefined

  /** @internal Runs are made by `run`. */
  constructor(id: string, url: string, signal: AbortSignal, reporter: Reporter) {
    this.id = id
    this.url = url
    this.signal = signal
    this.#owner = { reporter, active: new Set(), isOver: false }
  }

  /**
   * Runs `work` as a node of this run: shown as running, then as completed, or as failed with what it threw. Resolves
   * with what `work` gives. Nodes of the same name one after the other are attempts of one; at the same time they are
   * instances beside each other.
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

  /** What came of the run; recorded when it ends. */
  output(value: unknown): void {
    this.#outputs = { value }
  }

  /** @internal */
  started(): void {
    this.#add({ type: 'start' })
  }

  /** @internal */
  completed(): void {
    // Not awaited: nobody will say any more how they ended, and a run with running nodes cannot complete.
    for (const nodeId of this.#owner.active) {
      const error = 'the run ended before this node did'
      this.#add({ type: 'setNodeStatus', nodeId, status: 'failed', error })
    }
    this.#add({ type: 'complete', ...(this.#outputs !== undefined && { outputs: this.#outputs.value }) })
    this.#owner.isOver = true
  }

  /** @internal */
  failed(error: unknown): void {
    this.#add({ type: 'fail', error: cut(describeError(error), 16 * 1024) })
    this.#owner.isOver = true
  }

  #add(command: Command): void {
    this.#owner.reporter.add(command, { isEssential: true })
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
  const id = timeOrderedId()
  const url = options.url ?? variable('RELIVE_URL') ?? 'http://127.0.0.1:7400'
  const ending = new AbortController()
  const reporter = reporterOf(name, id, url, options, ending)
  const current = new Run(id, pageOf(url, id), ending.signal, reporter)
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

function reporterOf(name: string, id: string, url: string, options: RunOptions, ending: AbortController): Reporter {
  if (options.disabled ?? isOn('RELIVE_DISABLED')) return silent
  const token = options.token ?? variable('RELIVE_TOKEN')
  const { tags, metadata, inputs, groupId, workflowId, graph } = options
  const session: CreateSession = {
    id,
    name: Array.from(name).slice(0, 200).join(''),
    ...(tags !== undefined && { tags: [...tags] }),
    ...(metadata !== undefined && { metadata }),
    ...(inputs !== undefined && { inputs }),
    ...(groupId !== undefined && { groupId }),
    ...(workflowId !== undefined && { workflowId }),
    ...(graph !== undefined && { graph }),
  }
  const { limits = {}, backoff, onProblem } = options
  return new ServerReporter({ url, token, sessionId: id, session, limits, backoff, onProblem }, (answer) => {
    // Also when nothing more is recorded for another reason: the program goes on then.
    if (answer.code === 'illegal_transition')
      ending.abort(new ReliveError('illegal_transition', `the run was ended from outside: ${answer.message}`, false))
  })
}

function pageOf(url: string, id: string): string {
  try {
    return httpUrl(url, `/sessions/${id}`)
  } catch {
    return url
  }
}
