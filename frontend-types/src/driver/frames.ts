import type { ServerFrame } from '../generated/protocol.js'

/** Characters of a frame; more is not read. */
const frameAtMost = 64 * 1024 * 1024

/** The frames of a stream of server-sent events: the `data` of each event, which the server writes on one line. */
export async function* framesOf(body: ReadableStream<Uint8Array>): AsyncGenerator<ServerFrame> {
  const reader = body.getReader()
  const decoder = new TextDecoder()
  let text = ''
  try {
    for (;;) {
      const { done, value } = await reader.read()
      if (done) return
      text += decoder.decode(value, { stream: true })
      const lines = text.split('\n')
      text = lines.pop() ?? ''
      if (text.length > frameAtMost) throw new Error('a frame is too large')
      for (const line of lines) if (line.startsWith('data:')) yield JSON.parse(line.slice(5)) as ServerFrame
    }
  } finally {
    await reader.cancel().catch(() => {})
  }
}
