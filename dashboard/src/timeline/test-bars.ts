import type { Bar, Lanes } from './lanes'

/** A bar for tests. */
export function barOf(from: number, to: number | undefined, more: Partial<Bar> = {}): Bar {
  const status = to === undefined ? 'running' : 'completed'
  return { from, to, attempt: 1, during: 'running', status, revision: undefined, endRevision: undefined, ...more }
}

export function lanesOf(lanes: Readonly<Record<string, readonly Bar[]>>): Lanes {
  return new Map(Object.entries(lanes).map(([id, bars]) => [id, { id, bars }]))
}
