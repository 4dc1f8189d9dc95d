import type { SessionSummary } from '@relive/types'

import { noFilters, plainView } from '../app/address'
import { goTo } from '../app/place'

const key = 'relive.notify'

/** Whether the browser can show notifications: it does only on pages with TLS, or of this machine. */
export const canNotify = 'Notification' in globalThis && globalThis.isSecureContext

export function isNotifying(): boolean {
  try {
    return canNotify && Notification.permission === 'granted' && localStorage.getItem(key) === 'on'
  } catch {
    return false
  }
}

/** Turns notifications on or off, and asks for the permission; whether they are on then. */
export async function setNotifying(isOn: boolean): Promise<boolean> {
  if (!canNotify) return false
  const isAllowed = !isOn || (await Notification.requestPermission()) === 'granted'
  try {
    localStorage.setItem(key, isOn && isAllowed ? 'on' : 'off')
  } catch {
    return false
  }
  return isOn && isAllowed
}

/** Tells somebody who looks elsewhere. Several of one session count as one. */
export function notify({ id }: SessionSummary, title: string, text: string): void {
  if (!isNotifying() || !document.hidden) return
  const notification = new Notification(title, { body: text, tag: `relive-${id}` })
  notification.onclick = () => {
    focus()
    goTo({ page: 'session', sessionId: id, filters: noFilters, view: plainView })
    notification.close()
  }
}
