import type { SessionSummary } from '@relive/types'
import { ReliveError } from '@relive/types'

import { getBytes, request } from '../api/http'
import type { LabelChange } from './labels'
import { changedTags } from './labels'
import { runAgain, wish } from './run-again'

/** A session, and what it is called in what is said of it. */
export interface Item {
  readonly session: SessionSummary
  readonly name: string
}

export function cancelled({ session }: Item, signal: AbortSignal): Promise<unknown> {
  return request('POST', `/sessions/${session.id}/control`, { body: { action: 'cancel' }, signal })
}

export async function deleted({ session }: Item, signal: AbortSignal): Promise<void> {
  try {
    await request('DELETE', `/sessions/${session.id}`, { signal })
  } catch (error) {
    // What is wanted; the answer to an earlier attempt may have been lost.
    if (!(error instanceof ReliveError) || error.code !== 'not_found') throw error
  }
}

/** Each is run once, however often its request has to be sent. */
export function ranAgain(onlyItsEngine: string): (item: Item, signal: AbortSignal) => Promise<unknown> {
  const keys = new Map<string, string>()
  return ({ session }, signal) => {
    const key = keys.get(session.id) ?? wish()
    keys.set(session.id, key)
    return runAgain(session.id, key, onlyItsEngine, signal)
  }
}

/** The tags are those of now, and not those that the list showed. */
export async function labelled({ session }: Item, change: LabelChange): Promise<void> {
  const { tags = [] } = await request<{ tags?: string[] }>('GET', `/sessions/${session.id}`)
  const next = changedTags(tags, change)
  await request('POST', `/sessions/${session.id}/commands`, { body: { type: 'setLabels', tags: next } })
}

/** Bytes of exports that are gathered in the page before they are one file. */
const gatheredAtMost = 500_000_000

/** One session is its file; several are put into one, since a browser asks before it saves many. */
export async function exported(count: number): Promise<{
  add(item: Item, signal: AbortSignal): Promise<void>
  save(): void
}> {
  const { Zip, ZipDeflate } = await import('fflate')
  const parts: Uint8Array<ArrayBuffer>[] = []
  let size = 0
  const zip = new Zip((error, data) => {
    if (error !== null) return
    parts.push(data as Uint8Array<ArrayBuffer>)
    size += data.length
  })
  let single = 'session'
  return {
    async add({ session }, signal) {
      if (size > gatheredAtMost) throw new ReliveError('too_large', 'the files are too large to be saved together')
      const bytes = await getBytes(`/sessions/${session.id}/export`, signal)
      if (count === 1) {
        parts.push(bytes)
        single = session.id
        return
      }
      const file = new ZipDeflate(`${session.id}.ndjson`, { level: 6 })
      zip.add(file)
      file.push(bytes, true)
    },
    save() {
      if (count > 1) zip.end()
      const type = count === 1 ? 'application/x-ndjson' : 'application/zip'
      const name = count === 1 ? `${single}.ndjson` : 'sessions.zip'
      const url = URL.createObjectURL(new Blob(parts, { type }))
      const link = Object.assign(document.createElement('a'), { href: url, download: name })
      link.click()
      setTimeout(() => URL.revokeObjectURL(url), 60_000)
    },
  }
}
