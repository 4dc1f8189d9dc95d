import type { Delivery, DeliveryPage, Webhook } from '@relive/types'

import { query, request } from '../api/http'
import { noFilters, plainView } from '../app/address'
import { adjustOptions, linkTo } from '../app/place'
import { ahead, duration, millis, moment } from '../format/time'
import { useText } from '../i18n/text'
import { ListTable } from '../more/list-page'
import { useMoreText } from '../more/text'
import { useAction } from '../more/use-action'
import { useInterval } from '../more/use-interval'
import { usePaged } from '../more/use-read'

const statuses = ['pending', 'delivered', 'failed'] as const
/** While something waits to be sent, how often is looked whether it was. */
const pendingMs = 2000
const idleMs = 15_000

/** What was sent to a webhook, newest first; a test, and another attempt. */
export function Deliveries({ webhook, status }: { webhook: Webhook; status: string }) {
  const t = useText()
  const m = useMoreText()
  const asked = statuses.find((known) => known === status)
  const list = usePaged<DeliveryPage, Delivery>(
    `/webhooks/${webhook.id}/deliveries${query({ status: asked })}`,
    (page) => page.deliveries,
  )
  const { entries, error, reload } = list
  const test = useAction()
  const isWaiting = entries?.some((delivery) => delivery.status === 'pending') === true
  useInterval(reload, isWaiting ? pendingMs : idleMs)
  return (
    <section className="card" aria-label={m.deliveries}>
      <div className="card-head">
        <h2>{m.deliveries}</h2>
        <span className="faint host">{webhook.url}</span>
        <span className="grow" />
        <select
          aria-label={m.state}
          value={asked ?? ''}
          onChange={(event) => adjustOptions({ status: event.target.value })}
        >
          <option value="">{m.allDeliveries}</option>
          {statuses.map((known) => (
            <option key={known} value={known}>
              {m.deliveryStatus[known]}
            </option>
          ))}
        </select>
        <button
          type="button"
          disabled={test.isBusy}
          onClick={() => void test.run(() => request('POST', `/webhooks/${webhook.id}/test`)).then(reload)}
        >
          {test.isBusy ? t.sending : m.sendTest}
        </button>
      </div>
      {(error ?? test.error) !== undefined && (
        <p className="error-line" role="alert">
          {error ?? test.error}
        </p>
      )}
      <ListTable
        name={m.deliveries}
        columns={[m.time, m.event, m.state, m.attempts, m.answer]}
        list={list}
        empty={m.noDeliveries}
        isNumeric
      >
        {entries?.map((delivery) => (
          <Row key={delivery.id} delivery={delivery} onRetried={reload} />
        ))}
      </ListTable>
    </section>
  )
}

function Row({ delivery, onRetried }: { delivery: Delivery; onRetried: () => void }) {
  const t = useText()
  const m = useMoreText()
  const retry = useAction()
  const now = Date.now()
  const { id, webhookId, type, sessionId, status, attempts, responseStatus, error, durationMs, nextAttemptAt } =
    delivery
  const look = { pending: 'running', delivered: 'completed', failed: 'failed' }[status]
  return (
    <tr>
      <td className="short">
        <time dateTime={delivery.createdAt}>{moment(delivery.createdAt, now, t.locale)}</time>
      </td>
      <th scope="row">
        {sessionId === undefined ? (
          type
        ) : (
          <a className="figure-link" {...linkTo({ page: 'session', sessionId, filters: noFilters, view: plainView })}>
            {type}
          </a>
        )}
      </th>
      <td className={`short status-word ${look}`}>{m.deliveryStatus[status]}</td>
      <td className="short">
        {attempts}
        {status === 'pending' && nextAttemptAt !== undefined && (
          <span className="faint"> · {ahead(millis(nextAttemptAt) - now, t.locale)}</span>
        )}
      </td>
      <td className="wide">
        {responseStatus !== undefined && <b>{responseStatus} </b>}
        {durationMs !== undefined && <span className="faint">{duration(durationMs)} </span>}
        {(retry.error ?? error) !== undefined && <span className="bad">{retry.error ?? error}</span>}
      </td>
      <td>
        <span className="cell-actions">
          {type !== 'webhook.test' && (
            <button
              type="button"
              disabled={retry.isBusy}
              aria-label={m.ofThing(m.sendAgain, type)}
              onClick={() =>
                void retry.run(() => request('POST', `/webhooks/${webhookId}/deliveries/${id}/retry`)).then(onRetried)
              }
            >
              {m.sendAgain}
            </button>
          )}
        </span>
      </td>
    </tr>
  )
}
