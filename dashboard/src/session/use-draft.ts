import type { GraphNode, MessagePage, NodeDetail } from '@relive/types'
import { useEffect, useState } from 'react'

import { get, query } from '../api/http'
import { useOpenSession, useSession } from './session-context'
import type { SessionState } from './state'

interface Found {
  readonly text: string
  /** It is an object or an array in JSON. */
  readonly isStructure: boolean
}

/** `undefined` while it is being read; `null` if there is none. */
export type Draft = Found | null | undefined

/**
 * The subject of a review: the run's proposal, if the answer replaces it; the output of the waiting node with its
 * question; otherwise the last message or output of the nearest node before it that makes something; otherwise the
 * proposal.
 */
export function useDraft(nodeId: string, attempt: number | undefined): Draft {
  const { store } = useOpenSession()
  const [draft, setDraft] = useState<Draft>()
  // Only the graph tells which node comes before it.
  const hasGraph = useSession(({ graph }) => graph !== undefined)
  useEffect(() => {
    setDraft(undefined)
    if (!hasGraph) return
    const controller = new AbortController()
    void findDraft(store.latest, nodeId, controller.signal).then((found) => {
      if (!controller.signal.aborted) setDraft(found)
    })
    return () => controller.abort()
  }, [store, nodeId, attempt, hasGraph])
  return draft
}

/** What the node asks, as the built-in engine and others write it: its last message as the system, in this attempt. */
export function useQuestion(nodeId: string, attempt: number | undefined): string | undefined {
  const { store } = useOpenSession()
  const [question, setQuestion] = useState<string>()
  useEffect(() => {
    setQuestion(undefined)
    const controller = new AbortController()
    void questionOf(store.latest, nodeId, controller.signal).then((found) => {
      if (!controller.signal.aborted) setQuestion(found)
    })
    return () => controller.abort()
  }, [store, nodeId, attempt])
  return question
}

async function questionOf(
  { id, live }: SessionState,
  nodeId: string,
  signal: AbortSignal,
): Promise<string | undefined> {
  const { startedAt } = live?.nodes[nodeId] ?? {}
  try {
    const page = await messagesOf(id, nodeId, signal)
    const asked = page.messages.find(({ role }) => role === 'system')
    // That of an earlier round was answered then.
    return asked !== undefined && (startedAt === undefined || asked.createdAt >= startedAt) ? asked.content : undefined
  } catch {
    return undefined
  }
}

function messagesOf(sessionId: string, nodeId: string, signal: AbortSignal): Promise<MessagePage> {
  return get<MessagePage>(`/sessions/${sessionId}/messages${query({ nodeId, order: 'desc', limit: 10 })}`, signal)
}

async function findDraft(state: SessionState, nodeId: string, signal: AbortSignal): Promise<Found | null> {
  const proposal = async () => (await givenTo(state.id, signal)).proposal
  if (replacesProposal(state.graph?.nodes[nodeId])) {
    const found = await proposal()
    if (found !== undefined) return found
  }
  const own = await outputOf(state.id, nodeId, signal)
  if (own !== undefined && own.text !== (await outputBefore(state, nodeId, signal))?.text) return own
  for (const id of makersBefore(state, nodeId)) {
    const found = (await saidLast(state.id, id, signal)) ?? (await outputOf(state.id, id, signal))
    if (found !== undefined) return found
  }
  return (await proposal()) ?? null
}

/** Whether what a review is answered with becomes the proposal of the run, as graphs of the built-in engine say it. */
export function replacesProposal(planned: GraphNode | undefined): boolean {
  const { properties } = planned ?? {}
  return properties?.['updatesProposal'] === true || properties?.['updates_proposal'] === true
}

/** What a run was given. */
export interface Given {
  readonly proposal?: Found | undefined
  readonly inputs?: Found | undefined
}

export async function givenTo(sessionId: string, signal: AbortSignal): Promise<Given> {
  try {
    const { proposal, inputs } = await get<{ proposal?: unknown; inputs?: unknown }>(
      `/sessions/${sessionId}/entity`,
      signal,
    )
    const isEmpty = inputs == null || (typeof inputs === 'object' && Object.keys(inputs).length === 0)
    // All of them: unlike in an output, no member is the text that is meant.
    const text = typeof inputs === 'string' ? inputs : JSON.stringify(inputs, undefined, 2)
    return { proposal: asDraft(proposal), inputs: isEmpty ? undefined : { text, isStructure: true } }
  } catch {
    return {}
  }
}

/** Nodes that only lead the way: what they put out is counters and decisions, which nobody reviews. */
const leading = new Set(['start', 'end', 'loop', 'condition', 'if', 'switch', 'parallel', 'merge', 'join', 'delay'])
/** Nodes that are looked through for a draft. */
const makersAtMost = 12

type Run = Pick<SessionState, 'graph' | 'live'>

/** The nearest nodes before this one that make something: of each step back, the one that finished last first. */
export function makersBefore({ graph, live }: Run, nodeId: string): readonly string[] {
  const nodes = Object.values(graph?.nodes ?? {})
  const finished = (id: string) => live?.nodes[id]?.completedAt ?? ''
  const typeOf = (id: string) => live?.nodes[id]?.type ?? graph?.nodes[id]?.type ?? ''
  const seen = new Set([nodeId])
  const makers: string[] = []
  let step: readonly string[] = [nodeId]
  while (step.length > 0 && makers.length < makersAtMost) {
    const ahead = new Set(step)
    step = nodes
      .filter(({ id, nextIds }) => !seen.has(id) && nextIds?.some((next) => ahead.has(next)))
      .map(({ id }) => id)
      .sort((a, b) => finished(b).localeCompare(finished(a)))
    for (const id of step) seen.add(id)
    makers.push(...step.filter((id) => !leading.has(typeOf(id)) && finished(id) !== ''))
  }
  return makers.slice(0, makersAtMost)
}

/** The last message of a node, without thinking. Read from the server: the page may hold other messages, or none. */
async function saidLast(sessionId: string, nodeId: string, signal: AbortSignal): Promise<Found | undefined> {
  try {
    const page = await messagesOf(sessionId, nodeId, signal)
    return asDraft(page.messages.find(({ isThinking }) => !isThinking)?.content)
  } catch {
    return undefined
  }
}

/** The output of the node before its current attempt: the answer of an earlier round is not the draft of this one. */
async function outputBefore(
  { id, live }: SessionState,
  nodeId: string,
  signal: AbortSignal,
): Promise<Found | undefined> {
  const { attempt = 1, startedAt } = live?.nodes[nodeId] ?? {}
  if (attempt === 1 || startedAt === undefined) return undefined
  return outputOf(id, nodeId, signal, new Date(Date.parse(startedAt) - 1).toISOString())
}

async function outputOf(
  sessionId: string,
  nodeId: string,
  signal: AbortSignal,
  at?: string,
): Promise<Found | undefined> {
  try {
    const path = `/sessions/${sessionId}/nodes/${encodeURIComponent(nodeId)}${query({ at })}`
    const detail = await get<NodeDetail>(path, signal)
    return asDraft(detail.output)
  } catch {
    return undefined
  }
}

/** The member that has the text, in an output with more members; otherwise the whole output as JSON. */
const textMembers = ['draft', 'content', 'text', 'stdout', 'output', 'proposal', 'message']

export function asDraft(value: unknown): Found | undefined {
  if (value === undefined || value === null || value === '') return undefined
  if (typeof value === 'string') return { text: value, isStructure: false }
  if (typeof value === 'object' && !Array.isArray(value)) {
    for (const member of textMembers) {
      const text = (value as Record<string, unknown>)[member]
      if (typeof text === 'string' && text.trim() !== '') return { text, isStructure: false }
    }
  }
  return { text: JSON.stringify(value, undefined, 2), isStructure: typeof value === 'object' }
}

/** Splits by words; Chinese and Japanese by characters. */
export function wordCount(text: string): number {
  const cjk = text.match(/[\u3040-\u30ff\u3400-\u9fff]/g)?.length ?? 0
  const words =
    text.replace(/[\u3040-\u30ff\u3400-\u9fff]/g, ' ').match(/[\p{L}\p{N}]+(?:['’-][\p{L}\p{N}]+)*/gu)?.length ?? 0
  return cjk + words
}
