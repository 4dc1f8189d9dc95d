/** The entry of a store in the cache. */
export interface Place {
  /** It is in use, and may have been removed before. */
  keep(): void
  forget(): void
}
