import type { NodeStatus, SessionStatus } from '@relive/types'
import { memo, type ReactNode } from 'react'

import { type Look, look } from './status'

const shapes: Record<Look, ReactNode> = {
  pending: <circle cx="6" cy="6" r="4.6" fill="none" strokeWidth="1.6" strokeDasharray="2 2" />,
  running: <path d="M3 1.6v8.8L10.5 6z" fill="currentColor" stroke="none" />,
  completed: <path d="M1.6 6.4 4.8 9.6 10.6 2.6" fill="none" strokeWidth="2" strokeLinejoin="round" />,
  failed: <path d="m2.2 2.2 7.6 7.6m0-7.6L2.2 9.8" fill="none" strokeWidth="2" />,
  skipped: <path d="M2 6h8" fill="none" strokeWidth="2" />,
  suspended: <path d="M3.2 1.8v8.4M8.8 1.8v8.4" fill="none" strokeWidth="2.4" />,
}

/** The icon of a status, in its colour. Hidden from screen readers, since the word is next to it. */
export const StatusIcon = memo(function StatusIcon({ status }: { status: NodeStatus | SessionStatus }) {
  const which = look(status)
  return (
    <svg
      className={`status-icon ${which}`}
      viewBox="0 0 12 12"
      stroke="currentColor"
      strokeLinecap="round"
      aria-hidden="true"
    >
      {shapes[which]}
    </svg>
  )
})
