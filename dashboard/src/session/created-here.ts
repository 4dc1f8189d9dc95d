const created = new Set<string>()

/** To be called before the page of a session that was just created here is opened. */
export function noteCreated(sessionId: string): void {
  created.add(sessionId)
}

/** Whether a session is new, and so small; answered once. Its page must miss nothing of its beginning. */
export function isNew(sessionId: string): boolean {
  return created.delete(sessionId)
}
