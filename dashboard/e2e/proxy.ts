import { createServer, type IncomingMessage, request } from 'node:http'
import { type AddressInfo, connect } from 'node:net'
import type { Duplex } from 'node:stream'

/** A reverse proxy that passes on what is below a path, sockets too, as `deploy/nginx.conf` does. */
export interface ReverseProxy {
  readonly port: number
  close(): Promise<void>
}

export async function proxyTo(port: number, path: string): Promise<ReverseProxy> {
  const isBelow = (url = '/') => url.startsWith(`${path}/`)
  const server = createServer((incoming, answer) => {
    if (!isBelow(incoming.url)) {
      answer.writeHead(404).end('the proxy has nothing here')
      return
    }
    const { url, method, headers } = incoming
    const forwarded = { ...headers, 'x-forwarded-for': '192.0.2.7', 'x-forwarded-proto': 'http' }
    const onward = request({ host: '127.0.0.1', port, path: url, method, headers: forwarded }, (response) => {
      answer.writeHead(response.statusCode ?? 502, response.headers)
      response.pipe(answer)
    })
    onward.on('error', () => answer.destroy())
    incoming.pipe(onward)
  })
  const sockets = new Set<Duplex>()
  server.on('upgrade', (incoming: IncomingMessage, client: Duplex, head: Buffer) => {
    if (!isBelow(incoming.url)) {
      client.end('HTTP/1.1 404 Not Found\r\n\r\n')
      return
    }
    const onward = connect(port, '127.0.0.1', () => {
      const lines = [`GET ${incoming.url} HTTP/1.1`]
      for (let i = 0; i < incoming.rawHeaders.length; i += 2)
        lines.push(`${incoming.rawHeaders[i]}: ${incoming.rawHeaders[i + 1]}`)
      onward.write(`${lines.join('\r\n')}\r\n\r\n`)
      onward.write(head)
      onward.pipe(client).pipe(onward)
    })
    for (const socket of [client, onward]) {
      sockets.add(socket)
      socket.on('error', () => socket.destroy())
      socket.on('close', () => sockets.delete(socket))
    }
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  return {
    port: (server.address() as AddressInfo).port,
    close: async () => {
      for (const socket of sockets) socket.destroy()
      server.closeAllConnections()
      await new Promise((resolve) => server.close(resolve))
    },
  }
}
