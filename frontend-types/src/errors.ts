import type { ErrorCode } from './generated/protocol.js'

/** A refusal by the server, or the end of a connection that will not be made again. */
export class ReliveError extends Error {
  override readonly name = 'ReliveError'
  readonly code: ErrorCode
  /** Whether the same request may succeed later, unchanged. */
  readonly retryable: boolean
  /** The WebSocket close code, when it was a closed connection that said so. */
  readonly closeCode: number | undefined

  constructor(
    code: ErrorCode,
    message: string,
    retryable = code === 'unavailable' || code === 'rate_limited',
    closeCode?: number,
  ) {
    super(message)
    this.code = code
    this.retryable = retryable
    this.closeCode = closeCode
  }
}

/** Calls a listener. What it throws is the application's to see, but must not stop the client. */
export function notify(call: () => void): void {
  try {
    call()
  } catch (error) {
    queueMicrotask(() => {
      throw error
    })
  }
}
