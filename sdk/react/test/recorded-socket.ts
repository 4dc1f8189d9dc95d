import type { ClientFrame, SocketConstructor } from '@relive/types'
import { WebSocket } from 'ws'

/** A `WebSocket` that counts: which sockets were opened, which are, and what was sent. */
export function recordedSocket() {
  const opened: string[] = []
  const open = new Set<WebSocket>()
  const sent: ClientFrame[] = []
  class Recorded extends WebSocket {
    constructor(url: string, protocols?: string[]) {
      super(url, protocols)
      opened.push(new URL(url).pathname)
      open.add(this)
      this.on('close', () => open.delete(this))
    }

    override send(text: string): void {
      sent.push(JSON.parse(text) as ClientFrame)
      super.send(text)
    }
  }
  return { opened, open, sent, WebSocket: Recorded as unknown as SocketConstructor }
}
