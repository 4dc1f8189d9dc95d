import { createServer, type Server as HttpServer, type IncomingMessage } from 'node:http'
import type { AddressInfo } from 'node:net'

interface Said {
  readonly thinking?: string
  readonly text: string
}

/** An OpenAI-compatible endpoint over real HTTP that says what it is told to, a few letters at a time. */
export class ModelEndpoint {
  readonly #server: HttpServer
  readonly #answer: (prompt: string, system: string) => Said
  #held: (() => void)[] | undefined

  private constructor(answer: (prompt: string, system: string) => Said) {
    this.#answer = answer
    this.#server = createServer((request, response) => {
      void (async () => {
        const { messages, model } = JSON.parse(await read(request)) as {
          messages: { role: string; content: string }[]
          model: string
        }
        const { thinking, text } = this.#answer(
          messages.at(-1)?.content ?? '',
          messages.find(({ role }) => role === 'system')?.content ?? '',
        )
        response.writeHead(200, { 'content-type': 'text/event-stream' })
        const event = (value: object) => response.write(`data: ${JSON.stringify({ model, ...value })}\n\n`)
        const delta = (value: object) => event({ choices: [{ index: 0, delta: value }] })
        if (thinking !== undefined) delta({ reasoning_content: thinking })
        const pieces = text.match(/[\s\S]{1,6}/g) ?? []
        for (const [index, content] of pieces.entries()) {
          delta({ content })
          if (index === 0) await this.#goOn()
        }
        event({ choices: [{ index: 0, delta: {}, finish_reason: 'stop' }] })
        event({ choices: [], usage: { prompt_tokens: 100, completion_tokens: pieces.length } })
        response.end('data: [DONE]\n\n')
      })()
    })
  }

  static async start(answer: (prompt: string, system: string) => Said): Promise<ModelEndpoint> {
    const endpoint = new ModelEndpoint(answer)
    await new Promise<void>((resolve) => endpoint.#server.listen(0, '127.0.0.1', resolve))
    return endpoint
  }

  /** The settings that point a server here. */
  get settings(): Readonly<Record<string, string>> {
    const { port } = this.#server.address() as AddressInfo
    return {
      RELIVE_LLM_URL: `http://127.0.0.1:${port}/v1`,
      RELIVE_LLM_MODEL: 'gpt-4o-mini',
      RELIVE_LLM_API_KEY: 'sk-test',
    }
  }

  /** From now on every answer stops after its first letters, until `release`. */
  hold(): void {
    this.#held ??= []
  }

  release(): void {
    const held = this.#held
    this.#held = undefined
    held?.forEach((goOn) => goOn())
  }

  close(): void {
    this.release()
    this.#server.closeAllConnections()
    this.#server.close()
  }

  #goOn(): Promise<void> {
    const held = this.#held
    return held === undefined ? Promise.resolve() : new Promise((resolve) => held.push(resolve))
  }
}

async function read(request: IncomingMessage): Promise<string> {
  let body = ''
  for await (const piece of request.setEncoding('utf8')) body += String(piece)
  return body
}
