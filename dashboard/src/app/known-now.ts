/** Since when each connection of the page is lost, in milliseconds since 1970. */
const lost = new Map<object, number>()

/** To be called with every state of a connection; `undefined` while it is open, and when it is closed. */
export function noteLost(connection: object, since: number | undefined): void {
  if (since === undefined) lost.delete(connection)
  else lost.set(connection, since)
}

/** The time up to which the page knows what happens: now, or when a connection was lost. Clocks stand still there. */
export function knownNow(): number {
  let now = Date.now()
  for (const since of lost.values()) now = Math.min(now, since)
  return now
}
