import type { ListColumn, ListSort, SortColumn } from '../app/address'
import { adjustFilters } from '../app/place'
import { useText } from '../i18n/text'
import { Icon } from '../ui/icon'

interface TableHeadProps {
  columns: readonly ListColumn[]
  sort: ListSort | undefined
  selected: number
  isAll: boolean
  onSelectAll(): void
}

/** Figures and times are looked through from the largest on, words from the first. */
const wordy: readonly SortColumn[] = ['name', 'status', 'workflow', 'group']

/** The next order after a click: of this column, then the other way round, then the server's again. */
export function nextSort(sort: ListSort | undefined, column: SortColumn): ListSort | undefined {
  const first = !wordy.includes(column)
  // The server's order is already the newest first.
  if (column === 'created') return sort?.column === column ? undefined : { column, isDescending: false }
  if (sort?.column !== column) return { column, isDescending: first }
  return sort.isDescending === first ? { column, isDescending: !first } : undefined
}

export function TableHead({ columns, sort, selected, isAll, onSelectAll }: TableHeadProps) {
  const t = useText()
  const direction = (column: SortColumn) => {
    if (sort === undefined) return column === 'created' ? 'descending' : undefined
    if (sort.column !== column) return undefined
    return sort.isDescending ? 'descending' : 'ascending'
  }
  return (
    <div className="table-head" role="row" aria-rowindex={1}>
      <span role="columnheader" className="col-select">
        <input
          type="checkbox"
          aria-label={t.selectAll}
          ref={(box) => {
            if (box !== null) box.indeterminate = selected > 0 && !isAll
          }}
          checked={isAll}
          onChange={onSelectAll}
        />
      </span>
      {(['name', ...columns] as const).map((column) => {
        const now = direction(column)
        return (
          <span key={column} role="columnheader" className={`col-${column}`} aria-sort={now}>
            <button
              type="button"
              className={`sort quiet ${now ?? ''}`}
              title={t.sortBy}
              onClick={() => adjustFilters({ sort: nextSort(sort, column) })}
            >
              {t.columns[column]}
              {now !== undefined && <Icon name="chevron" />}
            </button>
          </span>
        )
      })}
    </div>
  )
}
