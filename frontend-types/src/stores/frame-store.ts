/** Calls `run` before the next frame is drawn; never while the page is hidden. */
export type Schedule = (run: () => void) => void

/** The interval where no frames are drawn, as in Node and on hidden pages. */
const hiddenMs = 50

/** Before the next frame if frames are drawn; otherwise at an interval that bounds what accumulates. */
export const atFrame: Schedule = (run) => {
  if (typeof document === 'object' && document.visibilityState === 'visible') requestAnimationFrame(run)
  else setTimeout(run, hiddenMs)
}

const beforeNextFrame: Schedule = (run) => {
  requestAnimationFrame(run)
}

/**
 * A value that may change at any rate and is shown at most once per frame.
 *
 * Writers use `latest`, views use `shown`. Values are never changed in place, so a view that
 * selects a part by identity is rendered again only when that part has changed.
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

  /** Applies a change; it is shown together with all others of this frame. */
  update(change: Partial<State> | ((state: State) => State)): void {
    const next = typeof change === 'function' ? change(this.#latest) : { ...this.#latest, ...change }
    if (next === this.#latest) return
    this.#latest = next
    if (this.#isScheduled) return
    this.#isScheduled = true
    this.#schedule(() => this.flush())
  }

  /** Shows the latest value immediately: for the user's own actions. */
  flush(): void {
    this.#isScheduled = false
    if (this.#shown === this.#latest) return
    this.#shown = this.#latest
    for (const listener of [...this.#listeners]) listener()
  }
}
