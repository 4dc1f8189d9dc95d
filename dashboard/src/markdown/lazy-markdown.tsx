import type { ReactNode } from 'react'

import { onDemand, useOnDemand } from '../app/on-demand'

const code = onDemand(() => import('./markdown'))

/** Markdown; until the code that reads it has been loaded, the text as it is. */
export function LazyMarkdown({ text, end }: { text: string; end?: ReactNode }) {
  const loaded = useOnDemand(code)
  if (loaded !== undefined) return <loaded.Markdown text={text} end={end} />
  return (
    <p dir="auto" className="raw">
      {text}
      {end}
    </p>
  )
}
