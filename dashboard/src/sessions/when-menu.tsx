import type { ListFilters } from '../app/address'
import { adjustFilters } from '../app/place'
import { moment } from '../format/time'
import { useText } from '../i18n/text'
import { Popover } from '../ui/popover'

const spans = ['1h', '24h', '7d', '30d'] as const

/** As a field for date and time has it, in the reader's own time zone. */
function local(time: string): string {
  const date = new Date(time)
  if (Number.isNaN(date.getTime())) return ''
  return new Date(date.getTime() - date.getTimezoneOffset() * 60_000).toISOString().slice(0, 16)
}

function utc(field: string): string {
  return field === '' ? '' : new Date(field).toISOString()
}

/** When the runs were started: within a time before now, or between two times. */
export function WhenMenu({ filters }: { filters: ListFilters }) {
  const t = useText()
  const { startedAfter, startedBefore } = filters
  const isAny = startedAfter === '' && startedBefore === ''
  const said = (time: string) => moment(time, Date.now(), t.locale)
  const span = spans.find((each) => each === startedAfter)
  const label = isAny
    ? t.anyTime
    : startedBefore === '' && span !== undefined
      ? t.startedWithin[span]
      : t.startedBetween(
          startedAfter && (span ? t.startedWithin[span] : said(startedAfter)),
          startedBefore && said(startedBefore),
        )
  return (
    <Popover
      className={`pill${isAny ? '' : ' on'}`}
      content={(close) => (
        <fieldset className="popover-body checks">
          <legend>{t.startedWhen}</legend>
          {(['', ...spans] as const).map((each) => (
            <label key={each}>
              <input
                type="radio"
                name="started"
                checked={startedBefore === '' && startedAfter === each}
                onChange={() => adjustFilters({ startedAfter: each, startedBefore: '' })}
              />
              {each === '' ? t.anyTime : t.startedWithin[each]}
            </label>
          ))}
          <label className="field">
            {t.startedFrom}
            <input
              type="datetime-local"
              value={span === undefined ? local(startedAfter) : ''}
              onChange={(event) => adjustFilters({ startedAfter: utc(event.target.value) })}
            />
          </label>
          <label className="field">
            {t.startedTo}
            <input
              type="datetime-local"
              value={local(startedBefore)}
              onChange={(event) => adjustFilters({ startedBefore: utc(event.target.value) })}
            />
          </label>
          <button type="button" onClick={close}>
            {t.close}
          </button>
        </fieldset>
      )}
    >
      {label}
    </Popover>
  )
}
