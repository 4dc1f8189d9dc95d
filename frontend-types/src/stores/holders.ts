/** How long a store without listeners is kept: a view may only have been replaced by another. */
const lingerMs = 1_000

/**
 * Reference count: begins with the first holder, and ends a moment after the last has released it, or if there
 * is none.
 */
export class Holders {
  readonly #begin: () => void
  readonly #end: () => void
  #count = 0
  #hasBegun = false
  #timer: ReturnType<typeof setTimeout> | undefined

  constructor(begin: () => void, end: () => void) {
    this.#begin = begin
    this.#end = end
    this.#linger()
  }

  get isHeld(): boolean {
    return this.#count > 0
  }

  /** Until the returned function is called. */
  hold(): () => void {
    clearTimeout(this.#timer)
    this.#count += 1
    if (!this.#hasBegun) {
      this.#hasBegun = true
      this.#begin()
    }
    let isHeld = true
    return () => {
      if (!isHeld) return
      isHeld = false
      this.#count -= 1
      if (this.#count === 0) this.#linger()
    }
  }

  #linger(): void {
    this.#timer = setTimeout(() => this.#over(), lingerMs)
    // The timer does not keep the process alive.
    if (typeof this.#timer === 'object') (this.#timer as { unref?: () => void }).unref?.()
  }

  #over(): void {
    this.#hasBegun = false
    this.#end()
  }
}
