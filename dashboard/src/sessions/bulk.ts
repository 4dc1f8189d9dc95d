import { ReliveError } from '@relive/types'

/** Requests of one action that are under way at a time. */
const concurrency = 4
const retriesAtMost = 5

export interface Failure<Item> {
  readonly item: Item
  readonly error: unknown
}

export interface Outcome<Item> {
  readonly done: number
  /** In the order of the items. */
  readonly failures: readonly Failure<Item>[]
  /** Those that were not begun, because it was stopped. */
  readonly left: number
}

export interface BulkOptions {
  signal: AbortSignal
  onProgress(finished: number): void
  /** Milliseconds before a request that may be retried is sent again. */
  waitMs?: (attempt: number) => number
}

/** Does the same to each of many, a few at a time. What fails for one does not stop the others. */
export async function forEach<Item>(
  items: readonly Item[],
  act: (item: Item, signal: AbortSignal) => Promise<unknown>,
  { signal, onProgress, waitMs = (attempt) => 250 * 2 ** attempt }: BulkOptions,
): Promise<Outcome<Item>> {
  const failed = new Map<number, Failure<Item>>()
  let [next, finished] = [0, 0]
  const work = async () => {
    while (next < items.length && !signal.aborted) {
      const at = next
      next += 1
      const item = items[at] as Item
      try {
        await retried(() => act(item, signal), signal, waitMs)
      } catch (error) {
        failed.set(at, { item, error })
      }
      finished += 1
      onProgress(finished)
    }
  }
  await Promise.all(Array.from({ length: Math.min(concurrency, items.length) }, work))
  const failures = [...failed].sort(([a], [b]) => a - b).map(([, failure]) => failure)
  return { done: finished - failures.length, failures, left: items.length - next }
}

/** Sends again what the server is too busy for. Every action here may be repeated. */
async function retried(
  act: () => Promise<unknown>,
  signal: AbortSignal,
  waitMs: (attempt: number) => number,
): Promise<void> {
  for (let attempt = 0; ; attempt += 1) {
    try {
      await act()
      return
    } catch (error) {
      const isOver = attempt >= retriesAtMost || signal.aborted
      if (isOver || !(error instanceof ReliveError) || !error.retryable) throw error
      await new Promise((resolve) => setTimeout(resolve, waitMs(attempt)))
    }
  }
}
