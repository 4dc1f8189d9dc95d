import { useEffect, useRef } from 'react'

/** Acts again and again while the page is shown. */
export function useInterval(act: () => void, everyMs: number): void {
  const newest = useRef(act)
  newest.current = act
  useEffect(() => {
    const timer = setInterval(() => {
      if (!document.hidden) newest.current()
    }, everyMs)
    return () => clearInterval(timer)
  }, [everyMs])
}
