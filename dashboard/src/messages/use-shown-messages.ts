import type { Message } from '@relive/types'
import { useMemo } from 'react'

import { useSession } from '../session/session-context'
import { saidBy } from './message-book'

/** The messages of the moment that is looked at: live with what is being written, or as it was then. */
export function useShownMessages(): readonly Message[] {
  const book = useSession((state) => state.book)
  const until = useSession(({ replay }) => {
    if (replay === undefined) return undefined
    const at = replay.target ?? (replay.state === undefined ? undefined : Date.parse(replay.state.at))
    return at
  })
  return useMemo(() => {
    if (until !== undefined) return saidBy(book.stored, until)
    return book.streaming.size === 0 ? book.stored : [...book.stored, ...book.streaming.values()]
  }, [book, until])
}
