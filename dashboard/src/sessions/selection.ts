/** Which rows are selected, and from which one shift selects. */
export interface Selection {
  readonly ids: ReadonlySet<string>
  readonly anchor: string | undefined
}

export const noSelection: Selection = { ids: new Set(), anchor: undefined }

/** What is done with the selected goes by requests, one for each; more are for "delete all that match". */
export const selectedAtMost = 1000

function of(ids: Iterable<string>, anchor: string | undefined): Selection {
  return { ids: new Set([...ids].slice(0, selectedAtMost)), anchor }
}

export function toggled({ ids }: Selection, id: string): Selection {
  return of(ids.has(id) ? [...ids].filter((other) => other !== id) : [...ids, id], id)
}

/** Selects from the anchor to this row, both included, beside what is selected. `order`: the rows as they are listed. */
export function extended(selection: Selection, order: readonly string[], id: string): Selection {
  const from = selection.anchor === undefined ? -1 : order.indexOf(selection.anchor)
  const to = order.indexOf(id)
  if (from < 0 || to < 0) return of([...selection.ids, id], id)
  const range = order.slice(Math.min(from, to), Math.max(from, to) + 1)
  return of([...selection.ids, ...range], selection.anchor)
}

export function all(order: readonly string[]): Selection {
  return of(order, order[0])
}

/** Only what is listed: nothing is done to what nobody sees. The same object if nothing has gone. */
export function pruned(selection: Selection, order: readonly string[]): Selection {
  if (selection.ids.size === 0) return selection
  const listed = new Set(order)
  const left = [...selection.ids].filter((id) => listed.has(id))
  if (left.length === selection.ids.size) return selection
  return of(left, selection.anchor !== undefined && listed.has(selection.anchor) ? selection.anchor : undefined)
}
