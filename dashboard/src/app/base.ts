/**
 * The beginning of every address of the server, as its page was told: empty, or such as `/relive` behind a proxy. What
 * no server has filled in, as while developing, is relative and counts as empty.
 */
export function baseOf(content: string | null | undefined): string {
  return content?.startsWith('/') ? content.replace(/\/+$/, '') : ''
}

/** The path of an address below the base. */
export function pathBelow(base: string, pathname: string): string {
  return pathname.startsWith(base) ? pathname.slice(base.length) || '/' : pathname
}

// Tests have no document.
const page = (globalThis as { document?: Document }).document

export const base = baseOf(page?.querySelector('meta[name="relive-base"]')?.getAttribute('content'))
