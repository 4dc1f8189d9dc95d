/** Suspends the component until the promise resolves. */
export function waitFor(promise: Promise<void>): never {
  if (typeof window === 'undefined') {
    throw new Error('nothing is watched on a server: with `suspense`, draw this below a <Suspense> in the browser')
  }
  // Not by `use`: React 18 has none, and it must not be called in one render and omitted in the next.
  throw promise
}
