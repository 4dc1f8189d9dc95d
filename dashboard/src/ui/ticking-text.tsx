import { useEffect, useRef } from 'react'

const everyMs = 100
const ticking = new Set<() => void>()
let timer: number | undefined

/** Calls `tick` ten times per second, together with all others, until the returned function is called. */
export function onTick(tick: () => void): () => void {
  ticking.add(tick)
  timer ??= window.setInterval(() => {
    if (!document.hidden) for (const run of ticking) run()
  }, everyMs)
  return () => {
    ticking.delete(tick)
    if (ticking.size > 0 || timer === undefined) return
    clearInterval(timer)
    timer = undefined
  }
}

/** A text that depends on the time. It is written directly into the document; nothing is rendered for it. */
export function TickingText({ text, className }: { text: () => string; className?: string }) {
  const element = useRef<HTMLSpanElement>(null)
  const newest = useRef(text)
  newest.current = text
  useEffect(() => {
    const write = () => {
      const node = element.current
      const next = newest.current()
      if (node !== null && node.textContent !== next) node.textContent = next
    }
    write()
    return onTick(write)
  }, [])
  useEffect(() => {
    const node = element.current
    const next = text()
    if (node !== null && node.textContent !== next) node.textContent = next
  })
  return <span ref={element} className={className} />
}
