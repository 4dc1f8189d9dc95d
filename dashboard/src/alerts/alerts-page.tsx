import type { Alert, AlertPage } from '@relive/types'
import { useEffect } from 'react'

import { request } from '../api/http'
import type { PageOptions } from '../app/more-address'
import { adjustOptions } from '../app/place'
import { moment } from '../format/time'
import { useText } from '../i18n/text'
import { FilterText } from '../more/filter-text'
import { ListPage, ListTable, RowActions } from '../more/list-page'
import { useMoreText } from '../more/text'
import { useAction } from '../more/use-action'
import { useInterval } from '../more/use-interval'
import { usePaged } from '../more/use-read'
import { loadCatalog } from '../sessions/catalog'
import { AlertDialog } from './alert-dialog'
import { AlertEvents } from './alert-events'
import { conditionText } from './condition'

/** Alerts are looked at every 15 seconds; one that was changed, within a second or two. */
const everyMs = 5000

/** The alerts of the project, and when the chosen one was raised. */
export function AlertsPage({ options }: { options: PageOptions }) {
  const m = useMoreText()
  const list = usePaged<AlertPage, Alert>('/alerts', (page) => page.alerts)
  const { entries, reload } = list
  const chosen = entries?.find(({ id }) => id === options['id']) ?? entries?.[0]
  useEffect(() => void loadCatalog(), [])
  useInterval(reload, everyMs)
  const choose = (id: string) => {
    adjustOptions({ id })
    reload()
  }
  return (
    <ListPage<Alert>
      title={m.alerts}
      error={list.error}
      makes={m.newAlert}
      form={(alert, close) => <AlertDialog alert={alert} onSaved={choose} onClose={close} />}
    >
      {(edit) => (
        <>
          <div className="card">
            <ListTable
              name={m.alerts}
              columns={[m.name, m.state, m.condition, m.filter, m.told]}
              list={list}
              empty={m.noAlerts}
            >
              {entries?.map((alert) => (
                <Row
                  key={alert.id}
                  alert={alert}
                  isChosen={alert === chosen}
                  onEdit={() => edit(alert)}
                  onChange={reload}
                />
              ))}
            </ListTable>
          </div>
          {chosen !== undefined && <AlertEvents key={`${chosen.id} ${chosen.status}`} alert={chosen} />}
        </>
      )}
    </ListPage>
  )
}

interface RowProps {
  alert: Alert
  isChosen: boolean
  onEdit(): void
  onChange(): void
}

function Row({ alert, isChosen, onEdit, onChange }: RowProps) {
  const m = useMoreText()
  const { id, name, condition, filter, notify = {} } = alert
  const isEnabled = alert.enabled !== false
  const enable = useAction()
  const { webhookIds = [], emails = [] } = notify
  const told = [...emails, ...(webhookIds.length > 0 ? [m.webhooksOf(webhookIds.length)] : [])]
  return (
    <tr className={[isChosen && 'chosen', !isEnabled && 'over'].filter(Boolean).join(' ') || undefined}>
      <th scope="row">
        <button
          type="button"
          className="link"
          aria-current={isChosen ? 'true' : undefined}
          onClick={() => adjustOptions({ id })}
        >
          {name}
        </button>
      </th>
      <td>
        <AlertState alert={alert} />
        {enable.error !== undefined && (
          <p className="bad small" role="alert">
            {enable.error}
          </p>
        )}
      </td>
      <td className="wide">{conditionText(condition, m)}</td>
      <td className="dim">
        <FilterText filter={filter} />
      </td>
      <td className="dim">{told.length === 0 ? m.nobody : told.join(', ')}</td>
      <td>
        <span className="cell-actions">
          <button
            type="button"
            disabled={enable.isBusy}
            aria-label={m.ofThing(isEnabled ? m.disable : m.enable, name)}
            onClick={() =>
              void enable.run(() => request('PATCH', `/alerts/${id}`, { body: { enabled: !isEnabled } })).then(onChange)
            }
          >
            {isEnabled ? m.disable : m.enable}
          </button>
          <RowActions
            name={name}
            path={`/alerts/${id}`}
            consequence={m.deleteAlert}
            onEdit={onEdit}
            onDeleted={onChange}
          />
        </span>
      </td>
    </tr>
  )
}

function AlertState({ alert: { status, raisedAt, enabled } }: { alert: Alert }) {
  const t = useText()
  const m = useMoreText()
  if (enabled === false) return <span className="short">{m.off}</span>
  if (status === 'resolved') return <span className="short good">{m.alertStatus.resolved}</span>
  return (
    <>
      <span className="short status-word failed">{m.alertStatus.raised}</span>
      {raisedAt !== undefined && <p className="dim small num">{m.raisedAt(moment(raisedAt, Date.now(), t.locale))}</p>}
    </>
  )
}
