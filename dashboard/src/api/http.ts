import { type Problem, ReliveError } from '@relive/types'

import { base } from '../app/base'

let unauthorized: (() => void) | undefined

/** Calls `listener` whenever the server answers that the caller is not authenticated. */
export function onUnauthorized(listener: () => void): void {
  unauthorized = listener
}

/** One request to the server's API. Rejects with a `ReliveError` that has the server's reason. */
export async function request<Answer>(method: string, path: string, options: RequestOptions = {}): Promise<Answer> {
  const response = await answered(method, path, options)
  return (response.status === 204 ? undefined : await response.json()) as Answer
}

/** A file of the server's. */
export async function getBytes(path: string, signal: AbortSignal): Promise<Uint8Array<ArrayBuffer>> {
  const response = await answered('GET', path, { signal })
  return new Uint8Array(await response.arrayBuffer())
}

async function answered(method: string, path: string, options: RequestOptions): Promise<Response> {
  const { body, headers, signal } = options
  let response: Response
  try {
    response = await fetch(`${base}/api/v1${path}`, {
      method,
      headers: { ...(body !== undefined && { 'content-type': 'application/json' }), ...headers },
      ...(body !== undefined && { body: JSON.stringify(body) }),
      ...(signal && { signal }),
    })
  } catch (cause) {
    if (signal?.aborted) throw cause
    throw new ReliveError('unavailable', 'the server cannot be reached')
  }
  if (!response.ok) {
    if (response.status === 401 && path !== '/me' && path !== '/sign-in') unauthorized?.()
    throw await refusal(response)
  }
  return response
}

export interface RequestOptions {
  body?: unknown
  headers?: Record<string, string>
  signal?: AbortSignal
}

export function get<Answer>(path: string, signal?: AbortSignal): Promise<Answer> {
  return request<Answer>('GET', path, signal ? { signal } : {})
}

export function query(parameters: Readonly<Record<string, string | number | undefined>>): string {
  const given = Object.entries(parameters).filter((entry) => entry[1] !== undefined && entry[1] !== '')
  const search = new URLSearchParams(given.map(([name, value]) => [name, String(value)])).toString()
  return search === '' ? '' : `?${search}`
}

async function refusal(response: Response): Promise<ReliveError> {
  try {
    const problem = (await response.json()) as Partial<Problem>
    if (problem.code !== undefined)
      return new ReliveError(problem.code, problem.detail ?? problem.title ?? '', problem.retryable)
  } catch {
    // Not an answer of this server, but perhaps of a proxy.
  }
  // A proxy with its own sign-in may answer like this.
  if (response.status === 401) return new ReliveError('unauthorized', 'the server asks for a sign-in')
  return new ReliveError(
    response.status >= 500 ? 'unavailable' : 'bad_request',
    `the server answered ${response.status}`,
  )
}
