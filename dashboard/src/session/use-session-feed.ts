import { useEffect, useState } from 'react'

import { useText } from '../i18n/text'
import { Player } from '../replay/player'
import { showNotice } from '../ui/notices'
import { LiveFeed } from './live-feed'
import type { OpenSession } from './session-context'
import { reasonOf } from './steering'

/** Follows a session as long as the component is there; `undefined` for a moment at first. */
export function useSessionFeed(sessionId: string): OpenSession | undefined {
  const t = useText()
  const [open, setOpen] = useState<OpenSession>()
  // biome-ignore lint/correctness/useExhaustiveDependencies: the language of a notice is not worth a new connection.
  useEffect(() => {
    const feed = new LiveFeed(sessionId)
    const player = new Player(feed.store, (error) => showNotice(t.replayFailed, reasonOf(error)))
    setOpen({ store: feed.store, player, messages: feed.messages })
    return () => {
      player.close()
      feed.close()
    }
  }, [sessionId])
  return open?.store.shown().id === sessionId ? open : undefined
}
