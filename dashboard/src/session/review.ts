import type { ReviewAction } from '@relive/types'

import { textOrStructure } from '../format/json'
import type { Draft } from './use-draft'

/** The possible decisions; `skip` only if the node allows it. */
export type Decision = ReviewAction | 'skip'

interface Answer {
  readonly decision: Decision
  readonly draft: Draft
  /** The edited draft; only for `modify`. */
  readonly edited?: string | undefined
  readonly comment: string
  readonly reviewer: string
}

/**
 * The payload of the signal that answers a review. `data` is the edited draft in the engine's format, a text or
 * an object, since it replaces the draft; a comment is a separate member.
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
