import type { Alert, AlertEmail, AlertEvent, AlertEventPage, AlertObservation } from '@relive/types'

import { noFilters, plainView } from '../app/address'
import { linkTo } from '../app/place'
import { cost } from '../format/number'
import { duration, moment } from '../format/time'
import type { MoreText } from '../i18n/more-en'
import { useText } from '../i18n/text'
import { ListTable } from '../more/list-page'
import { useMoreText } from '../more/text'
import { useInterval } from '../more/use-interval'
import { usePaged } from '../more/use-read'
import { conditionText } from './condition'

/** Alerts are looked at every 15 seconds. */
const everyMs = 15_000

/** When an alert was raised and resolved, what was found then, and what became of its e-mails. */
export function AlertEvents({ alert }: { alert: Alert }) {
  const m = useMoreText()
  // What was changed is looked at at once.
  const list = usePaged<AlertEventPage, AlertEvent>(`/alerts/${alert.id}/events`, (page) => page.events)
  useInterval(list.reload, everyMs)
  return (
    <section className="card" aria-label={m.alertEvents}>
      <div className="card-head">
        <h2>{m.alertEvents}</h2>
        <span className="faint host">{alert.name}</span>
      </div>
      {list.error !== undefined && (
        <p className="error-line" role="alert">
          {list.error}
        </p>
      )}
      <ListTable
        name={m.alertEvents}
        columns={[m.time, m.state, m.observed, m.condition, m.emailed]}
        list={list}
        empty={m.noAlertEvents}
        isNumeric
      >
        {list.entries?.map((event) => (
          <Row key={event.number} event={event} />
        ))}
      </ListTable>
    </section>
  )
}

function Row({ event: { type, at, condition, observed, emails } }: { event: AlertEvent }) {
  const t = useText()
  const m = useMoreText()
  return (
    <tr>
      <td className="short">
        <time dateTime={at}>{moment(at, Date.now(), t.locale)}</time>
      </td>
      <td className={`short status-word ${type === 'raised' ? 'failed' : 'completed'}`}>{m.alertStatus[type]}</td>
      <td>
        <Observed observed={observed} m={m} />
      </td>
      <td className="dim wide">{conditionText(condition, m)}</td>
      <td className="wide">
        {emails.map((email) => (
          <EmailLine key={email.to} email={email} />
        ))}
      </td>
      <td />
    </tr>
  )
}

/** Leads to the run that it is about, if it is about one. */
function Observed({ observed, m }: { observed: AlertObservation | undefined; m: MoreText }) {
  if (observed === undefined) return m.notEnabledAnyMore
  const text = textOf(observed, m)
  const sessionId = observed.type === 'budget' ? undefined : observed.sessionId
  if (sessionId === undefined) return text
  return (
    <a className="figure-link" {...linkTo({ page: 'session', sessionId, filters: noFilters, view: plainView })}>
      {text}
    </a>
  )
}

function textOf(observed: AlertObservation, m: MoreText): string {
  switch (observed.type) {
    case 'failures':
      return m.foundFailures(observed.count)
    case 'slowRun': {
      const { runningMs, p99Ms, runs } = observed
      return m.foundSlow(runningMs === undefined ? '–' : duration(runningMs), duration(p99Ms), runs)
    }
    case 'budget':
      return m.foundBudget(cost(observed.costUsd), observed.day)
  }
}

function EmailLine({ email: { to, status, error } }: { email: AlertEmail }) {
  const m = useMoreText()
  return (
    <p>
      {to} <span className={status === 'failed' ? 'bad' : 'dim'}>{m.deliveryStatus[status]}</span>
      {error !== undefined && <span className="bad small"> {error}</span>}
    </p>
  )
}
