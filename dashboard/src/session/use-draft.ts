import type { NodeDetail } from '@relive/types'
import { useEffect, useState } from 'react'

import { get } from '../api/http'
import { useOpenSession } from './session-context'
import type { SessionState } from './state'

interface Found {
  readonly text: string
  /** It is an object or an array, written as JSON. */
  readonly isStructure: boolean
}

/** `undefined` while it is looked for; `null` when there is none. */
export type Draft = Found | null | undefined

/**
 * What a review is about: what the waiting node put out with its question; otherwise what the node
 * before it put out or said last; otherwise the run's proposal.
 */
export function useDraft(nodeId: string, attempt: number | undefined): Draft {
  const { store } = useOpenSession()
  const [draft, setDraft] = useState<Draft>()
  useEffect(() => {
    const controller = new AbortController()
    void findDraft(store.latest, nodeId, controller.signal).then((found) => {
      if (!controller.signal.aborted) setDraft(found)
    })
    return () => controller.abort()
  }, [store, nodeId, attempt])
  return draft
}

async function findDraft(state: SessionState, nodeId: string, signal: AbortSignal): Promise<Found | null> {
  const own = await outputOf(state.id, nodeId, signal)
  if (own !== undefined) return own
  for (const id of nodesBefore(state, nodeId)) {
    const said = state.book.stored.findLast((message) => message.nodeId === id && !message.isThinking)
    if (said !== undefined) return { text: said.content, isStructure: false }
    const output = await outputOf(state.id, id, signal)
    if (output !== undefined) return output
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

async function outputOf(sessionId: string, nodeId: string, signal: AbortSignal): Promise<Found | undefined> {
  try {
    const detail = await get<NodeDetail>(`/sessions/${sessionId}/nodes/${encodeURIComponent(nodeId)}`, signal)
    return asDraft(detail.output)
  } catch {
    return undefined
  }
}

/** The member that holds the text, in outputs that hold more; or the whole as JSON. */
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

/** Words where words are set apart; Chinese and Japanese by the character. */
export function wordCount(text: string): number {
  const cjk = text.match(/[\u3040-\u30ff\u3400-\u9fff]/g)?.length ?? 0
  const words = text.replace(/[\u3040-\u30ff\u3400-\u9fff]/g, ' ').match(/[\p{L}\p{N}]+(?:['’-][\p{L}\p{N}]+)*/gu)?.length ?? 0
  return cjk + words
}
