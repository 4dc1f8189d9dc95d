/** A promise of a condition, the same one until it holds: what a suspended view waits for. */
export class Readiness {
  readonly #isReady: () => boolean
  #promise: Promise<void> | undefined

  constructor(isReady: () => boolean) {
    this.#isReady = isReady
  }

  wait(subscribe: (listener: () => void) => () => void): Promise<void> {
    this.#promise ??= new Promise<void>((resolve) => {
      const stop = subscribe(() => look())
      const look = () => {
        if (!this.#isReady()) return
        this.#promise = undefined
        stop()
        resolve()
      }
      look()
    })
    return this.#promise
  }
}
