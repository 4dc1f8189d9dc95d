import type { Message } from '@relive/types'
import { useMemo } from 'react'

import { useSession } from '../session/session-context'
import { messageMoment } from '../session/state'
import { saidBy } from './message-book'

/** The messages of the selected moment: live with those being written, or as they were then. */
export function useShownMessages(): readonly Message[] {
  const book = useSession((state) => state.book)
  const until = useSession(messageMoment)
  return useMemo(() => {
    if (until !== undefined) return saidBy(book.stored, until)
    // Messages being written are shown only after the newest stored one.
    return book.streaming.size === 0 || book.hasLater ? book.stored : [...book.stored, ...book.streaming.values()]
  }, [book, until])
}
