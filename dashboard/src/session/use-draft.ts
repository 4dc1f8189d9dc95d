import type { MessagePage, NodeDetail } from '@relive/types'
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
 * The subject of a review: the output of the waiting node with its question; otherwise the last output or
 * message of the node before it; otherwise the run's proposal.
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

async function findDraft(state: SessionState, nodeId: string, signal: AbortSignal): Promise<Found | null> {
  const own = await outputOf(state.id, nodeId, signal)
  if (own !== undefined && own.text !== (await outputBefore(state, nodeId, signal))?.text) return own
  for (const id of nodesBefore(state, nodeId)) {
    const found = (await saidLast(state.id, id, signal)) ?? (await outputOf(state.id, id, signal))
    if (found !== undefined) return found
  }
  try {
    const { proposal } = await get<{ proposal?: unknown }>(`/sessions/${state.id}/entity`, signal)
    return asDraft(proposal) ?? null
  } catch {
    return null
  }
}

/** The nodes that lead to this one, the one that finished last first. */
function nodesBefore({ graph, live }: SessionState, nodeId: string): readonly string[] {
  const before = Object.values(graph?.nodes ?? {}).filter(({ nextIds }) => nextIds?.includes(nodeId))
  const finished = (id: string) => live?.nodes[id]?.completedAt ?? ''
  return before.map(({ id }) => id).sort((a, b) => finished(b).localeCompare(finished(a)))
}

/** The last message of a node, without thinking. Read from the server: the page may hold other messages, or none. */
async function saidLast(sessionId: string, nodeId: string, signal: AbortSignal): Promise<Found | undefined> {
  try {
    const page = await get<MessagePage>(
      `/sessions/${sessionId}/messages${query({ nodeId, order: 'desc', limit: 10 })}`,
      signal,
    )
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
