import type { SessionListWatch, SessionSummary } from '@relive/types'

import { client } from '../app/client'
import { FrameStore } from '../store/frame-store'

/** Families that are unfolded at a time: each is a list of its own, with a socket. */
export const openAtMost = 12
/** Children that are shown of one family; the list of all is one step away. */
const childrenAtMost = 100

export interface Family {
  /** The newest first. */
  readonly children: readonly SessionSummary[]
  readonly isLoaded: boolean
  readonly hasMore: boolean
}

export type OpenFamilies = ReadonlyMap<string, Family>

/** The unfolded families, by parent, kept right live. */
export const families = new FrameStore<{ readonly open: OpenFamilies }>({ open: new Map() })

const watches = new Map<string, SessionListWatch>()

function put(parentId: string, family: Family | undefined): void {
  families.update(({ open }) => {
    const next = new Map(open)
    if (family === undefined) next.delete(parentId)
    else next.set(parentId, family)
    return { open: next }
  })
}

export function unfold(parentId: string): void {
  if (watches.has(parentId)) return
  // The one that was unfolded first gives way.
  const [first] = watches.keys()
  if (watches.size >= openAtMost && first !== undefined) fold(first)
  put(parentId, { children: [], isLoaded: false, hasMore: false })
  const watch = client.watchSessions(
    { parentSessionId: parentId, limit: childrenAtMost },
    {
      onSessions: (sessions) => {
        const children = [...sessions.values()].slice(0, childrenAtMost)
        const hasMore = sessions.size > childrenAtMost || watch.hasMore
        put(parentId, { children, isLoaded: true, hasMore })
      },
      onError: () => fold(parentId),
    },
  )
  watches.set(parentId, watch)
}

export function fold(parentId: string): void {
  watches.get(parentId)?.close()
  watches.delete(parentId)
  put(parentId, undefined)
}

/** Follows only those of these parents that are unfolded; what is gone has no family. */
export function foldAllBut(parents: ReadonlySet<string>): void {
  for (const parentId of [...watches.keys()]) if (!parents.has(parentId)) fold(parentId)
}
