/** How somebody answered. */
export interface Review {
  /** Empty when the answer was a bare signal. */
  action: 'approve' | 'reject' | 'modify' | 'skip' | ''
  isApproved: boolean
  reviewer?: string
  comment?: string
  /** With `modify`: what the draft was changed to. Of a bare signal: its payload. */
  data?: unknown
}

export function reviewOf(payload: unknown): Review {
  const { review } = Object(payload) as { review?: unknown }
  if (typeof review !== 'object' || review === null) return { action: '', isApproved: false, data: payload }
  const { action, ...rest } = review as Omit<Review, 'isApproved'>
  return { ...rest, action, isApproved: action === 'approve' || action === 'modify' }
}
