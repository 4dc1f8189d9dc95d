import { useCallback, useEffect, useState } from 'react'

import { get, query } from '../api/http'
import { reasonOf } from '../session/steering'

interface Read<Value> {
  /** The newest answer; `undefined` before the first. */
  readonly value: Value | undefined
  readonly error: string | undefined
  /** Asks again; what was there is shown until the answer. */
  reload(): void
}

interface Held<Value> {
  readonly path: string
  readonly value: Value | undefined
  readonly error: string | undefined
}

/**
 * What the server answers at a path, read anew when the path changes. Without a path nothing is asked. With `keep`, the
 * answer for the path before is shown until there is the new one.
 */
export function useRead<Value>(path: string | undefined, { keep = false } = {}): Read<Value> {
  const [held, setHeld] = useState<Held<Value>>()
  const [turn, setTurn] = useState(0)
  useEffect(() => {
    if (path === undefined) return
    const controller = new AbortController()
    const read = async () => {
      try {
        const value = await get<Value>(path, controller.signal)
        if (!controller.signal.aborted) setHeld({ path, value, error: undefined })
      } catch (cause) {
        if (controller.signal.aborted) return
        const error = reasonOf(cause)
        setHeld((before) => ({ path, value: keep || before?.path === path ? before?.value : undefined, error }))
      }
    }
    void read()
    return () => controller.abort()
  }, [path, turn, keep])
  const reload = useCallback(() => setTurn((before) => before + 1), [])
  const isOfPath = held?.path === path
  return { value: isOfPath || keep ? held?.value : undefined, error: isOfPath ? held?.error : undefined, reload }
}

export interface Paged<Entry> {
  readonly entries: readonly Entry[] | undefined
  readonly error: string | undefined
  readonly hasMore: boolean
  more(): void
  /** Reads as many pages anew as there are. */
  reload(): void
}

const pageSize = 200
/** Pages that are held: more rows than anybody looks through. */
const pagesAtMost = 25

/** What the next page is asked for with. */
function cursorOf(page: { nextCursor?: string } | { nextAfter?: string }) {
  if ('nextAfter' in page && page.nextAfter !== undefined) return { after: page.nextAfter }
  return 'nextCursor' in page && page.nextCursor !== undefined ? { cursor: page.nextCursor } : undefined
}

/** A list that comes in pages. `path` has no limit and no cursor of its own; some lists call theirs `after`. */
export function usePaged<Page extends { nextCursor?: string } | { nextAfter?: string }, Entry>(
  path: string | undefined,
  entriesOf: (page: Page) => readonly Entry[],
): Paged<Entry> {
  const [wanted, setWanted] = useState({ path, pages: 1, turn: 0 })
  const [held, setHeld] = useState<{ path: string; entries: readonly Entry[]; hasMore: boolean; error?: string }>()
  const pages = wanted.path === path ? wanted.pages : 1
  const turn = wanted.turn
  // biome-ignore lint/correctness/useExhaustiveDependencies: `entriesOf` picks a member, and is another function each time.
  useEffect(() => {
    if (path === undefined) return
    const controller = new AbortController()
    const read = async () => {
      const entries: Entry[] = []
      let cursor: Readonly<Record<string, string>> | undefined
      try {
        for (let page = 0; page < pages; page += 1) {
          const asked = query({ limit: pageSize, ...cursor })
          const answer = await get<Page>(
            path.includes('?') ? path + asked.replace('?', '&') : path + asked,
            controller.signal,
          )
          entries.push(...entriesOf(answer))
          cursor = cursorOf(answer)
          if (cursor === undefined) break
        }
        if (!controller.signal.aborted) setHeld({ path, entries, hasMore: cursor !== undefined })
      } catch (cause) {
        if (controller.signal.aborted) return
        const error = reasonOf(cause)
        setHeld((before) =>
          before?.path === path ? { ...before, error } : { path, entries: [], hasMore: false, error },
        )
      }
    }
    void read()
    return () => controller.abort()
  }, [path, pages, turn])
  const isOfPath = held?.path === path
  return {
    entries: isOfPath ? held?.entries : undefined,
    error: isOfPath ? held?.error : undefined,
    hasMore: isOfPath && held?.hasMore === true && pages < pagesAtMost,
    more: () => setWanted({ path, pages: pages + 1, turn }),
    reload: () => setWanted({ path, pages, turn: turn + 1 }),
  }
}
