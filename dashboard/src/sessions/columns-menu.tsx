import { type ListColumn, type ListFilters, listColumns } from '../app/address'
import { useKept } from '../app/kept'
import { adjustFilters } from '../app/place'
import { useText } from '../i18n/text'
import { Popover } from '../ui/popover'
import { keptColumns } from './columns'

/** The columns that are shown: of the address, where it names some. */
export function useColumns(filters: ListFilters): readonly ListColumn[] {
  const chosen = useKept(keptColumns)
  return filters.columns ?? chosen
}

export function ColumnsMenu({ filters }: { filters: ListFilters }) {
  const t = useText()
  const columns = useColumns(filters)
  const toggle = (column: ListColumn) => {
    const next = listColumns.filter((each) => (each === column ? !columns.includes(each) : columns.includes(each)))
    keptColumns.set(next)
    if (filters.columns !== undefined) adjustFilters({ columns: next })
  }
  return (
    <Popover
      className="quiet"
      content={() => (
        <fieldset className="popover-body checks">
          <legend>{t.chooseColumns}</legend>
          {listColumns.map((column) => (
            <label key={column}>
              <input type="checkbox" checked={columns.includes(column)} onChange={() => toggle(column)} />
              {t.columns[column]}
            </label>
          ))}
        </fieldset>
      )}
    >
      {t.chooseColumns}
    </Popover>
  )
}
