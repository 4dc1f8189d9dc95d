/** Keeps what happened, in order, and lets a test wait for the next thing it expects. */
export class Recorder<T> {
  readonly items: T[] = []
  readonly #name: string
  readonly #waiting = new Set<() => void>()
  #taken = 0

  constructor(name: string) {
    this.#name = name
  }

  push(item: T): void {
    this.items.push(item)
    for (const look of [...this.#waiting]) look()
  }

  /** The next item not yet taken that matches; those before it are passed over. Fails at the deadline. */
  next(matches: (item: T) => boolean = () => true, deadlineMs = 5_000): Promise<T> {
    return new Promise((resolve, reject) => {
      const deadline = setTimeout(() => {
        this.#waiting.delete(look)
        reject(new Error(`${this.#name}: waited in vain; so far ${JSON.stringify(this.items)}`))
      }, deadlineMs)
      const look = (): void => {
        while (this.#taken < this.items.length) {
          const item = this.items[this.#taken] as T
          this.#taken += 1
          if (!matches(item)) continue
          clearTimeout(deadline)
          this.#waiting.delete(look)
          resolve(item)
          return
        }
      }
      this.#waiting.add(look)
      look()
    })
  }
}
