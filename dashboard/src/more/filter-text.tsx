import { useText } from '../i18n/text'
import { catalog } from '../sessions/catalog'
import { useStore } from '../store/use-store'
import { useMoreText } from './text'

interface Filter {
  readonly workflowId?: string
  readonly groupId?: string
  readonly tag?: string
}

/** Of which runs something is, in words. */
export function FilterText({ filter = {} }: { filter?: Filter | undefined }) {
  const t = useText()
  const m = useMoreText()
  const { workflows, groups } = useStore(catalog, (state) => state)
  const named = (all: readonly { id: string; name: string }[], id: string) =>
    all.find((entry) => entry.id === id)?.name ?? `…${id.slice(-8)}`
  const parts = [
    filter.workflowId !== undefined && `${t.workflow}: ${named(workflows, filter.workflowId)}`,
    filter.groupId !== undefined && `${t.group}: ${named(groups, filter.groupId)}`,
    filter.tag !== undefined && `${m.tag}: ${filter.tag}`,
  ].filter((part) => part !== false)
  return <>{parts.length === 0 ? m.any : parts.join(', ')}</>
}
