import { type ReactNode, useSyncExternalStore } from 'react'

type Component = (props: { text: string; end?: ReactNode }) => ReactNode

let loaded: Component | undefined
let isAsked = false
const listeners = new Set<() => void>()

function load(listener: () => void): () => void {
  listeners.add(listener)
  if (!isAsked) {
    isAsked = true
    void import('./markdown').then(
      ({ Markdown }) => {
        loaded = Markdown
        for (const each of [...listeners]) each()
      },
      // The texts stay as they are; the next page that shows some asks again.
      () => (isAsked = false),
    )
  }
  return () => listeners.delete(listener)
}

/** Markdown; until the code that reads it has been loaded, the text as it is. */
export function LazyMarkdown({ text, end }: { text: string; end?: ReactNode }) {
  const Markdown = useSyncExternalStore(load, () => loaded)
  if (Markdown !== undefined) return <Markdown text={text} end={end} />
  return (
    <p dir="auto" className="raw">
      {text}
      {end}
    </p>
  )
}
