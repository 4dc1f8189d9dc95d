import { type ReactNode, useState } from 'react'

import { useText } from '../i18n/text'
import { Icon } from '../ui/icon'
import { DeleteButton } from './delete-button'
import { PageFrame } from './page-frame'
import { useMoreText } from './text'
import type { Paged } from './use-read'

interface ListPageProps<Entry> {
  title: string
  error: string | undefined
  /** What the button in the bar makes; without it nothing can be made. */
  makes?: string | false
  /** The form for one of the list, or for a new one. */
  form?(entry: Entry | undefined, close: () => void): ReactNode
  /** The content; `edit` opens the form. */
  children(edit: (entry: Entry) => void): ReactNode
}

/** A page with a list of things of one kind, and the form that makes and changes them. */
export function ListPage<Entry>({ title, error, makes, form, children }: ListPageProps<Entry>) {
  const [edited, setEdited] = useState<{ entry: Entry | undefined }>()
  return (
    <PageFrame
      title={title}
      error={error}
      actions={typeof makes === 'string' && <NewButton label={makes} onClick={() => setEdited({ entry: undefined })} />}
    >
      <div className="more-body scroll" tabIndex={0} role="region" aria-label={title}>
        {children((entry) => setEdited({ entry }))}
      </div>
      {edited !== undefined && form?.(edited.entry, () => setEdited(undefined))}
    </PageFrame>
  )
}

export function NewButton({ label, onClick }: { label: string; onClick: () => void }) {
  return (
    <button type="button" className="primary" onClick={onClick}>
      <Icon name="plus" />
      {label}
    </button>
  )
}

type Listed = Pick<Paged<unknown>, 'entries' | 'error' | 'hasMore' | 'more'>

/** The end of a list: that it is empty, being read, or that there is more. */
export function ListEnd({ list, empty }: { list: Listed; empty: ReactNode }) {
  const t = useText()
  const m = useMoreText()
  const { entries, error, hasMore, more } = list
  return (
    <>
      {entries?.length === 0 && <p className="empty">{empty}</p>}
      {entries === undefined && error === undefined && <p className="empty">{t.loading}</p>}
      {hasMore && (
        <button type="button" className="quiet" onClick={more}>
          {m.moreRows}
        </button>
      )}
    </>
  )
}

interface ListTableProps {
  /** What is listed. */
  name: string
  /** The heads of the columns; one for actions follows them. */
  columns: readonly string[]
  list: Listed
  empty: ReactNode
  /** Digits are below each other. */
  isNumeric?: boolean
  /** The rows. */
  children: ReactNode
}

export function ListTable({ name, columns, list, empty, isNumeric = false, children }: ListTableProps) {
  const m = useMoreText()
  return (
    <div className="scroll" tabIndex={0} role="region" aria-label={m.tableOf(name)}>
      <table className={isNumeric ? 'plain num' : 'plain'}>
        <thead>
          <tr>
            {columns.map((column) => (
              <th key={column} scope="col">
                {column}
              </th>
            ))}
            <th scope="col">
              <span className="visually-hidden">{m.actions}</span>
            </th>
          </tr>
        </thead>
        <tbody>{children}</tbody>
      </table>
      <ListEnd list={list} empty={empty} />
    </div>
  )
}

interface RowActionsProps {
  /** What it is called, for those who hear it. */
  name: string
  path: string
  /** What its deletion means. */
  consequence: string
  onEdit(): void
  onDeleted(): void
}

/** What can be done with everything that is listed. */
export function RowActions({ name, path, consequence, onEdit, onDeleted }: RowActionsProps) {
  const m = useMoreText()
  return (
    <>
      <button type="button" aria-label={m.editOf(name)} onClick={onEdit}>
        {m.edit}
      </button>
      <DeleteButton name={name} path={path} consequence={consequence} onDeleted={onDeleted} />
    </>
  )
}
