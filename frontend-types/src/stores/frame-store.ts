/** Calls `run` before the next picture is drawn, and not at all while the page is hidden. */
export type Schedule = (run: () => void) => void

/** Where there are no pictures, as in Node, and on hidden pages, at this pace. */
const hiddenMs = 50

/** At the pace of pictures if any are drawn; otherwise at one that keeps what gathers small. */
export const atFrame: Schedule = (run) => {
  if (typeof document === 'object' && document.visibilityState === 'visible') requestAnimationFrame(run)
  else setTimeout(run, hiddenMs)
}

const beforeNextFrame: Schedule = (run) => {
  requestAnimationFrame(run)
}

/**
 * A value that changes as often as the network likes and is shown at most once a frame.
 *
 * Writers see `latest`, views see `shown`. Values are never changed in place, so a view that
 * selects a part by identity is drawn again only when that part has changed.
 */
export class FrameStore<State> {
  readonly #schedule: Schedule
  readonly #listeners = new Set<() => void>()
  #latest: State
  #shown: State
  #isScheduled = false

  constructor(initial: State, schedule: Schedule = beforeNextFrame) {
    this.#latest = initial
    this.#shown = initial
    this.#schedule = schedule
  }

  get latest(): State {
    return this.#latest
  }

  readonly shown = (): State => this.#shown

  readonly subscribe = (listener: () => void): (() => void) => {
    this.#listeners.add(listener)
    return () => this.#listeners.delete(listener)
  }

  /** Takes a change; it is shown with all others of this frame. */
  update(change: Partial<State> | ((state: State) => State)): void {
    const next = typeof change === 'function' ? change(this.#latest) : { ...this.#latest, ...change }
    if (next === this.#latest) return
    this.#latest = next
    if (this.#isScheduled) return
    this.#isScheduled = true
    this.#schedule(() => this.flush())
  }

  /** Shows what is latest now: for what a person has just done. */
  flush(): void {
    this.#isScheduled = false
    if (this.#shown === this.#latest) return
    this.#shown = this.#latest
    for (const listener of [...this.#listeners]) listener()
  }
}
