import { ReliveError } from './errors.js'
import type { ErrorCode } from './generated/protocol.js'

/** Whether a client that was closed with `code` should connect again. */
export function shouldReconnect(code: number): boolean {
  if (code >= 4500 && code <= 4999) return false
  // 1000: the server has nothing more to say. The others: the same bytes would fail again.
  return ![1000, 1002, 1003, 1007, 1008, 1009, 1010].includes(code)
}

const errorCodes: Readonly<Record<number, ErrorCode>> = {
  1000: 'unavailable',
  1008: 'forbidden',
  1009: 'too_large',
  4401: 'unauthorized',
  4500: 'unauthorized',
  4503: 'forbidden',
  4504: 'not_found',
}

/** The error that a final close code stands for. */
export function closeError(code: number, reason: string): ReliveError {
  const errorCode = errorCodes[code] ?? 'bad_request'
  return new ReliveError(errorCode, reason || `the server closed the connection (${code})`, false, code)
}
