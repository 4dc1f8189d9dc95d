import { onDemand, useOnDemand } from '../app/on-demand'
import { useText } from '../i18n/text'

/** Whoever has runs does without it. */
const code = onDemand(() => import('./empty-state'))

export function LoadedEmptyState({ mayStart }: { mayStart: boolean }) {
  const t = useText()
  const loaded = useOnDemand(code)
  return loaded === undefined ? <p className="faint">{t.loading}</p> : <loaded.EmptyState mayStart={mayStart} />
}
