import { ReliveError, type WorkflowFields } from '@relive/types'
import { useEffect, useState } from 'react'

import { request } from '../api/http'

/** How long nothing is typed before the server is asked. */
const restMs = 500

/** A text, and why the server would refuse it. */
export interface Refusal {
  readonly text: string
  readonly reason: string
}

/**
 * Asks the server whether it would store what is written, once nothing has been typed for a while. `fields` is
 * `undefined` while the page itself has something against it.
 */
export function useServerCheck(text: string, fields: WorkflowFields | undefined): Refusal | undefined {
  const [refusal, setRefusal] = useState<Refusal>()
  const body = fields === undefined ? undefined : JSON.stringify(fields)
  useEffect(() => {
    if (body === undefined) return
    const ended = new AbortController()
    const ask = async () => {
      try {
        await request('POST', '/workflows/validate', { body: JSON.parse(body), signal: ended.signal })
        setRefusal(undefined)
      } catch (cause) {
        // Without an answer nothing is known of the text: it is asked for again when it changes, or is stored.
        if (ended.signal.aborted || !(cause instanceof ReliveError) || cause.retryable) return
        setRefusal({ text, reason: cause.message })
      }
    }
    const timer = setTimeout(() => void ask(), restMs)
    return () => {
      clearTimeout(timer)
      ended.abort()
    }
  }, [text, body])
  return refusal?.text === text ? refusal : undefined
}
