import { noFilters, plainView } from '../app/address'
import { linkTo } from '../app/place'
import { useText } from '../i18n/text'
import { reasonOf } from '../session/steering'
import { Dialog } from '../ui/dialog'
import type { Failure } from './bulk'
import type { Item } from './bulk-actions'

interface FailuresDialogProps {
  title: string
  done: string
  failures: readonly Failure<Item>[]
  onClose(): void
}

/** What could not be done to some of many: each of them, and why. */
export function FailuresDialog({ title, done, failures, onClose }: FailuresDialogProps) {
  const t = useText()
  return (
    <Dialog title={title} onClose={onClose}>
      <p>{done}</p>
      <ul className="failures scroll" aria-label={title} tabIndex={0}>
        {failures.map(({ item, error }) => (
          <li key={item.session.id}>
            <a {...linkTo({ page: 'session', sessionId: item.session.id, filters: noFilters, view: plainView })}>
              {item.name}
            </a>{' '}
            <span className="faint row-id">{item.session.id.slice(-6)}</span>
            <p className="error-line">{reasonOf(error)}</p>
          </li>
        ))}
      </ul>
      <div className="buttons end">
        <button type="button" onClick={onClose}>
          {t.close}
        </button>
      </div>
    </Dialog>
  )
}
