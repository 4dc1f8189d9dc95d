/** Which session to show, and where it is. */
export interface Address {
  /** The server's base address. */
  readonly server: string
  readonly sessionId: string
  /** The token of a share link: `…/sessions/ID#token=…`. */
  readonly token: string | undefined
}

const path = /^(.*?)\/(?:embed\/)?sessions\/([^/]+)\/?$/

/** The address of a session as the dashboard shows it in the browser; `undefined` if it is none. */
export function parseAddress(src: string, page: string): Address | undefined {
  let url: URL
  try {
    url = new URL(src.trim(), page)
  } catch {
    return undefined
  }
  const found = path.exec(url.pathname)
  if (found === null || (url.protocol !== 'http:' && url.protocol !== 'https:')) return undefined
  const token = new URLSearchParams(url.hash.slice(1)).get('token') || undefined
  try {
    return { server: url.origin + (found[1] ?? ''), sessionId: decodeURIComponent(found[2] ?? ''), token }
  } catch {
    return undefined
  }
}

/** A moment of a run as the API takes it: a revision or a time. `undefined` if it is neither. */
export function parseMoment(moment: string): { revision: string } | { at: string } | undefined {
  const text = moment.trim()
  if (/^[1-9]\d{0,15}$/.test(text)) return { revision: text }
  const time = /^\d{4}-\d\d-\d\d[T ]/.test(text) ? Date.parse(text) : Number.NaN
  return Number.isNaN(time) ? undefined : { at: new Date(time).toISOString() }
}
