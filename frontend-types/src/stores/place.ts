/** Where a store is found by others. */
export interface Place {
  /** Somebody needs it; it may have been given up before. */
  keep(): void
  forget(): void
}
