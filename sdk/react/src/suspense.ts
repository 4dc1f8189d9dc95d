/** Suspends the component until the promise resolves. */
export function waitFor(promise: Promise<void>): never {
  if (typeof window === 'undefined') {
    throw new Error('nothing is watched on a server: with `suspense`, draw this below a <Suspense> in the browser')
  }
  // Not by `use`: React 18 has none, and it may not be called in one drawing and left out in the next.
  throw promise
}
