import type { ReviewAction } from '@relive/types'

import { textOrStructure } from '../format/json'
import type { Draft } from './use-draft'

/** What a person can decide; to skip only where the node lets them. */
export type Decision = ReviewAction | 'skip'

interface Answer {
  readonly decision: Decision
  readonly draft: Draft
  /** The draft as it was edited; only for `modify`. */
  readonly edited?: string | undefined
  readonly comment: string
  readonly reviewer: string
}

/**
 * The payload of the signal that answers a review. `data` is the edited draft as the engine wrote it,
 * a text or an object, since that is what takes its place; a comment stands beside it.
 */
export function answerOf({ decision, draft, edited, comment, reviewer }: Answer): { review: Record<string, unknown> } {
  const text = edited ?? draft?.text ?? ''
  return {
    review: {
      action: decision,
      ...(reviewer.trim() !== '' && { reviewer: reviewer.trim() }),
      ...(decision === 'modify' && { data: draft?.isStructure ? textOrStructure(text) : text }),
      ...(comment.trim() !== '' && { comment: comment.trim() }),
    },
  }
}
