import { useMemo, useState } from 'react'

import type { Place } from '../app/address'
import { goTo, linkTo } from '../app/place'
import { useText } from '../i18n/text'
import { useMoreText } from '../more/text'
import { Chart, type Series } from './chart'
import type { Slot } from './statistics'

interface ChartCardProps {
  title: string
  /** What the reader has to know of these figures. */
  note?: string
  slots: readonly Slot[]
  kind: 'bars' | 'lines'
  series: readonly Series[]
  format: (value: number) => string
  /** The list behind a value of a slot. */
  behind: (slot: Slot, seriesIndex: number | undefined) => Place | undefined
}

/** A chart, what it says at the pointer, and the same as a table. */
export function ChartCard({ title, note, slots, kind, series, format, behind }: ChartCardProps) {
  const t = useText()
  const m = useMoreText()
  const [pointed, setPointed] = useState<number>()
  const [isTable, setTable] = useState(false)
  const times = useMemo(() => slots.map(({ from }) => from), [slots])
  const at = pointed === undefined ? undefined : slots[pointed]
  const hasValues = series.some(({ values }) => values.some((value) => value !== null && value !== 0))
  const name = useSlotName(slots)
  return (
    <section className="card chart-card" aria-label={title}>
      <div className="card-head">
        <h2>{title}</h2>
        {note !== undefined && <span className="faint">{note}</span>}
        <span className="grow" />
        <button type="button" className="quiet" aria-expanded={isTable} onClick={() => setTable(!isTable)}>
          {m.asTable}
        </button>
      </div>
      <p className="legend num" aria-hidden="true">
        {series.map(({ label, colour, values }) => (
          <span key={label}>
            <i style={{ background: `var(--${colour})` }} />
            {label}
            {at !== undefined && <b> {values[pointed ?? 0] == null ? '–' : format(values[pointed ?? 0] ?? 0)}</b>}
          </span>
        ))}
        {at !== undefined && <span className="faint">{name(at)}</span>}
      </p>
      <Chart
        times={times}
        end={slots.at(-1)?.to ?? 0}
        kind={kind}
        series={series}
        format={format}
        locale={t.locale}
        onPoint={(index) => setPointed(index === undefined || index < 0 ? undefined : index)}
        onPick={(index) => {
          const slot = slots[index]
          const place = slot === undefined || slot.figures.runs.total === 0 ? undefined : behind(slot, undefined)
          if (place !== undefined) goTo(place)
        }}
      />
      {!hasValues && <p className="chart-none faint">{m.noEnded}</p>}
      {isTable && (
        <div className="chart-table scroll" tabIndex={0} role="region" aria-label={m.tableOf(title)}>
          <table className="plain num">
            <thead>
              <tr>
                <th scope="col">{m.time}</th>
                {series.map(({ label }) => (
                  <th key={label} scope="col">
                    {label}
                  </th>
                ))}
              </tr>
            </thead>
            <tbody>
              {slots.map((slot, index) =>
                slot.figures.runs.total === 0 ? null : (
                  <tr key={slot.from}>
                    <th scope="row">{name(slot)}</th>
                    {series.map(({ label, values }, seriesIndex) => (
                      <td key={label}>
                        <Value value={values[index] ?? null} format={format} place={behind(slot, seriesIndex)} />
                      </td>
                    ))}
                  </tr>
                ),
              )}
            </tbody>
          </table>
          {!hasValues && <p className="empty">{m.noEnded}</p>}
        </div>
      )}
    </section>
  )
}

function Value({
  value,
  format,
  place,
}: {
  value: number | null
  format: (value: number) => string
  place: Place | undefined
}) {
  if (value === null) return <>–</>
  if (place === undefined || value === 0) return <>{format(value)}</>
  return (
    <a className="figure-link" {...linkTo(place)}>
      {format(value)}
    </a>
  )
}

/** How the times of slots read: with the day if there is more than one. */
function useSlotName(slots: readonly Slot[]): (slot: Slot) => string {
  const t = useText()
  return useMemo(() => {
    const width = (slots[0]?.to ?? 0) - (slots[0]?.from ?? 0)
    const isDay = width >= 86_400_000
    const format = new Intl.DateTimeFormat(t.locale, {
      month: 'short',
      day: 'numeric',
      ...(!isDay && { hour: '2-digit', minute: '2-digit', hourCycle: 'h23' }),
    })
    return ({ from }) => format.format(from)
  }, [slots, t.locale])
}
