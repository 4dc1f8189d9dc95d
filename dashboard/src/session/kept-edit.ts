import { useCallback, useState } from 'react'

/** What somebody has written into a review, and not sent yet. */
export interface Edit {
  /** The edited draft; `undefined` while it is not being edited. */
  readonly edited: string | undefined
  readonly comment: string
}

interface Kept extends Edit {
  readonly at: number
}

const prefix = 'relive.review.'
const nothing: Edit = { edited: undefined, comment: '' }
/** Reviews whose edits are kept, the newest; and characters of each. */
const keptAtMost = 40
const charactersAtMost = 200_000

type Store = Pick<Storage, 'getItem' | 'setItem' | 'removeItem' | 'key' | 'length'>

/** One key for each time that a node asks: the next round is another review. */
export function editKey(sessionId: string, nodeId: string, attempt: number | undefined): string {
  return `${prefix}${sessionId}.${attempt ?? 1}.${nodeId}`
}

export function readEdit(store: Store, key: string): Edit {
  try {
    const { edited, comment } = JSON.parse(store.getItem(key) ?? '{}') as Partial<Kept>
    return {
      edited: typeof edited === 'string' ? edited : undefined,
      comment: typeof comment === 'string' ? comment : '',
    }
  } catch {
    // Storage is refused in some private windows; and what is stored may be of another version.
    return nothing
  }
}

export function keepEdit(store: Store, key: string, { edited, comment }: Edit, now: number): void {
  try {
    if (edited === undefined && comment === '') {
      store.removeItem(key)
      return
    }
    if ((edited?.length ?? 0) + comment.length > charactersAtMost) return
    store.setItem(key, JSON.stringify({ edited, comment, at: now } satisfies Kept))
    for (const old of oldKeys(store)) store.removeItem(old)
  } catch {
    // Then it lasts as long as the page.
  }
}

/** The keys of the oldest edits, of more than are kept. */
function oldKeys(store: Store): readonly string[] {
  const keys = Array.from({ length: store.length }, (_, index) => store.key(index) ?? '')
  const ages = keys
    .filter((key) => key.startsWith(prefix))
    .map((key) => ({ key, at: (JSON.parse(store.getItem(key) ?? '{}') as Partial<Kept>).at ?? 0 }))
  return ages
    .sort((a, b) => b.at - a.at)
    .slice(keptAtMost)
    .map(({ key }) => key)
}

/** As `useState`, kept in the browser until it is empty. */
export function useKeptEdit(key: string): [Edit, (change: Partial<Edit>) => void] {
  const [edits, setEdits] = useState<Readonly<Record<string, Edit>>>({})
  const edit = edits[key] ?? readEdit(localStorage, key)
  const change = useCallback(
    (changed: Partial<Edit>) =>
      setEdits((all) => {
        const next = { ...(all[key] ?? readEdit(localStorage, key)), ...changed }
        keepEdit(localStorage, key, next, Date.now())
        return { ...all, [key]: next }
      }),
    [key],
  )
  return [edit, change]
}
