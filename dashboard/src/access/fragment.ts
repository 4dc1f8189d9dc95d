/**
 * The token of a share link: `/sessions/ID#token=…`. Browsers do not send the fragment to servers, so it is in no log.
 * It is removed from the address before anything else runs, so that it is not copied, kept in the history, or shown.
 *
 * `main.tsx` imports this module first.
 */
export interface Taken {
  readonly token: string | undefined
  /** The rest of the fragment. */
  readonly hash: string
}

export function takeToken(hash: string): Taken {
  const fields = new URLSearchParams(hash.replace(/^#/, ''))
  const token = fields.get('token')
  if (token === null) return { token: undefined, hash }
  fields.delete('token')
  const rest = fields.toString()
  return { token: token === '' ? undefined : token, hash: rest === '' ? '' : `#${rest}` }
}

/** The address of a share link with this token. */
export function shareLink(page: string, token: string): string {
  return `${page}#${new URLSearchParams({ token }).toString()}`
}

function take(): string | undefined {
  // Tests have no window.
  if (typeof location === 'undefined') return undefined
  const { token, hash } = takeToken(location.hash)
  if (hash !== location.hash) history.replaceState(null, '', location.pathname + location.search + hash)
  return token
}

let linked = take()

/** The token that the page was opened with; only the first call returns it. */
export function linkedToken(): string | undefined {
  const token = linked
  linked = undefined
  return token
}
