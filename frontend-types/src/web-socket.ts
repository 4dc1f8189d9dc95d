/** What the client uses of a socket's events. */
export interface SocketEvent {
  readonly type: string
  readonly data?: unknown
  readonly code?: number
  readonly reason?: string
}

/** What the client uses of a `WebSocket`; those of browsers, Node 22 and the package `ws` have it. */
export interface Socket {
  send(text: string): void
  close(): void
  addEventListener(type: 'open' | 'message' | 'close' | 'error', listener: (event: SocketEvent) => void): void
}

export interface SocketConstructor {
  new (url: string, protocols?: string[]): Socket
}

/** The `WebSocket` to use: the one given, or the platform's own. */
export function socketConstructor(given: SocketConstructor | undefined): SocketConstructor {
  const found = given ?? (globalThis as { WebSocket?: SocketConstructor }).WebSocket
  if (found === undefined) {
    throw new TypeError('no WebSocket here (Node has one from version 22 on): pass one as the option `WebSocket`')
  }
  return found
}

/** The address of a socket at `path` under the server's base address, which may be given as http(s) or ws(s). */
export function socketUrl(base: string, path: string): string {
  return addressOf(base, path, 'wss:', 'ws:')
}

/** As `socketUrl`, of what is asked over HTTP. */
export function httpUrl(base: string, path: string): string {
  return addressOf(base, path, 'https:', 'http:')
}

function addressOf(base: string, path: string, secure: string, plain: string): string {
  const url = new URL(base)
  url.protocol = url.protocol === 'https:' || url.protocol === 'wss:' ? secure : plain
  const [pathname = '', search = ''] = path.split('?', 2)
  url.pathname = url.pathname.replace(/\/$/, '') + pathname
  url.search = search
  url.hash = ''
  return url.href
}
