import type { Message } from '@relive/types'
import { useMemo } from 'react'

import { useSession } from '../session/session-context'
import { messageMoment } from '../session/state'
import { saidBy } from './message-book'

/** The messages of the moment that is looked at: live with what is being written, or as it was then. */
export function useShownMessages(): readonly Message[] {
  const book = useSession((state) => state.book)
  const until = useSession(messageMoment)
  return useMemo(() => {
    if (until !== undefined) return saidBy(book.stored, until)
    // What is being written follows the newest, and stands nowhere else.
    return book.streaming.size === 0 || book.hasLater ? book.stored : [...book.stored, ...book.streaming.values()]
  }, [book, until])
}
