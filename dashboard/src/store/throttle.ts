type Subscribe = (listener: () => void) => () => void

/**
 * The same subscription, whose listeners are called at most every `everyMs`: at once after a rest,
 * and once more when the time is over if there was anything new meanwhile. So the last change is
 * always told.
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
