import type { ReliveClient } from '../client.js'
import { ReliveError } from '../errors.js'
import type { Problem } from '../generated/protocol.js'

/** The error that an answer is, as the server describes it. */
export async function errorOf(answer: Response): Promise<ReliveError> {
  try {
    const { code, detail, retryable } = (await answer.json()) as Problem
    if (typeof code === 'string' && typeof detail === 'string') return new ReliveError(code, detail, retryable === true)
  } catch {
    // Not an answer of the server, but of a proxy.
  }
  return new ReliveError('unavailable', `the server answered with ${answer.status}`, answer.status >= 500)
}

/** As a `ReliveError`, whatever was thrown. */
export function asReliveError(cause: unknown): ReliveError {
  if (cause instanceof ReliveError) return cause
  return new ReliveError('bad_request', cause instanceof Error ? cause.message : String(cause), false)
}

/** Asks below `/api/v1`. Rejects with a `ReliveError`. */
export async function ask<Answer>(client: ReliveClient, path: string, init?: RequestInit): Promise<Answer> {
  let answer: Response
  try {
    answer = await client.fetch(`/api/v1${path}`, init)
  } catch (cause) {
    if (cause instanceof ReliveError) throw cause
    throw new ReliveError('unavailable', `the server could not be reached: ${String(cause)}`, true)
  }
  if (!answer.ok) throw await errorOf(answer)
  return (await answer.json()) as Answer
}
