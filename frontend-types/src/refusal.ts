import { ReliveError } from './errors.js'
import type { Problem } from './generated/protocol.js'

/** How long the server may take to say why. */
const answerMs = 5_000

/**
 * Why a server refuses the sockets of this page, if it does: browsers say of a refused handshake only that it failed.
 * The same refusal of a request can be read. `undefined` if there is none, or it cannot be had.
 */
export async function refusalAt(url: string): Promise<ReliveError | undefined> {
  try {
    const answer = await fetch(url, { signal: AbortSignal.timeout(answerMs) })
    const text = await answer.text()
    if (answer.status !== 403) return undefined
    const { code, detail } = JSON.parse(text) as Problem
    return code === 'forbidden' ? new ReliveError(code, detail, false) : undefined
  } catch {
    // Unreachable, or an answer of a proxy: worth another attempt.
    return undefined
  }
}
