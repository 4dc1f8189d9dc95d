/**
 * The base path of the server's addresses, as filled in by the server: empty, or for example `/relive` behind a proxy.
 * A page that no server has filled in, as in development, has a relative path here, which counts as empty.
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
