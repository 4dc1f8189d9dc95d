type Subscribe = (listener: () => void) => () => void

/**
 * The same subscription, whose listeners are called at most every `everyMs`: immediately after a pause,
 * and once more at the end of the interval if there was a change meanwhile. So the last change is
 * always delivered.
 */
export function throttle(subscribe: Subscribe, everyMs: number): Subscribe {
  return (listener) => {
    let timer: ReturnType<typeof setTimeout> | undefined
    let hasNews = false
    const tell = () => {
      timer = setTimeout(rested, everyMs)
      listener()
    }
    const rested = () => {
      timer = undefined
      if (!hasNews) return
      hasNews = false
      tell()
    }
    const stop = subscribe(() => {
      if (timer === undefined) tell()
      else hasNews = true
    })
    return () => {
      stop()
      clearTimeout(timer)
    }
  }
}
