import { formatAddress, type ListFilters } from '../app/address'
import { kept } from '../app/kept'
import { keptColumns } from './columns'

/** A list with its filters, order and columns, by name. Its address is all of it, so that it can be sent. */
export interface SavedView {
  readonly name: string
  readonly address: string
}

/** Views that are kept, and characters of a name. */
export const viewsAtMost = 50
export const nameAtMost = 60

function isView(entry: unknown): entry is SavedView {
  const { name, address } = (entry ?? {}) as Partial<SavedView>
  return typeof name === 'string' && name !== '' && typeof address === 'string' && address.startsWith('/')
}

export function readViews(stored: unknown): readonly SavedView[] {
  if (!Array.isArray(stored)) return []
  return stored
    .filter(isView)
    .slice(0, viewsAtMost)
    .map(({ name, address }) => ({ name: name.slice(0, nameAtMost), address }))
}

export const savedViews = kept<readonly SavedView[]>('relive.views', readViews)

/** The address of what is shown now, with the columns that this browser keeps. */
export function addressOfView(filters: ListFilters): string {
  const columns = filters.columns ?? keptColumns.value()
  return formatAddress({ page: 'sessions', filters: { ...filters, columns } })
}

/** With this view, in place of one of the same name; the oldest go when there are too many. */
export function withView(views: readonly SavedView[], view: SavedView): readonly SavedView[] {
  const name = view.name.trim().slice(0, nameAtMost)
  if (name === '') return views
  return [...views.filter((other) => other.name !== name), { ...view, name }].slice(-viewsAtMost)
}
