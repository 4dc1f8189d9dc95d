import { useEffect } from 'react'

import { useMay } from '../access/me'
import { useText } from '../i18n/text'
import { sessionName } from '../sessions/session-name'
import { useStore } from '../store/use-store'
import { notify } from './notify'
import { followWaiting, waiting } from './waiting'

/** Follows what waits for somebody, on every page, for those who may answer. */
export function useInbox(): void {
  const t = useText()
  const mayReview = useMay('review')
  useEffect(() => {
    if (!mayReview) return
    return followWaiting((session) => notify(session, sessionName(session) ?? t.unnamed(session.id), t.waitsForYou))
  }, [mayReview, t])
}

/** The title of the browser's tab: a page, and how many sessions wait. */
export function useTitle(title: string): void {
  const count = useStore(waiting, ({ sessions }) => sessions.length)
  useEffect(() => {
    document.title = `${count > 0 ? `(${count}) ` : ''}${title} · Relive`
  }, [title, count])
}
