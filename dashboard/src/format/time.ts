const second = 1000
const minute = 60 * second
const hour = 60 * minute
const day = 24 * hour

const two = (value: number) => String(Math.floor(value)).padStart(2, '0')

/** A duration: `40 ms`, `12.3 s`, `2:05`, `3:07:09`, `2 d 4 h`. Never negative. */
export function duration(milliseconds: number): string {
  const ms = Math.max(0, milliseconds)
  if (ms < second) return `${Math.floor(ms)} ms`
  // One decimal, truncated: 59.97 s must not become 60.0 s.
  if (ms < minute) return `${(Math.floor(ms / 100) / 10).toFixed(1)} s`
  if (ms < hour) return `${Math.floor(ms / minute)}:${two((ms % minute) / second)}`
  if (ms < day) return `${Math.floor(ms / hour)}:${two((ms % hour) / minute)}:${two((ms % minute) / second)}`
  return `${Math.floor(ms / day)} d ${Math.floor((ms % day) / hour)} h`
}

/** A position within a run, with a fixed number of digits: `00:42.8`, `1:02:03.4`, `2 d 03:04:05`. */
export function position(milliseconds: number): string {
  const ms = Math.max(0, milliseconds)
  const tenth = Math.floor((ms % second) / 100)
  if (ms < hour) return `${two(ms / minute)}:${two((ms % minute) / second)}.${tenth}`
  const clock = `${two((ms % hour) / minute)}:${two((ms % minute) / second)}`
  if (ms < day) return `${Math.floor(ms / hour)}:${clock}.${tenth}`
  return `${Math.floor(ms / day)} d ${two((ms % day) / hour)}:${clock}`
}

/** Milliseconds since 1970 of a protocol timestamp; `undefined` stays so. */
export function millis(timestamp: string): number
export function millis(timestamp: string | undefined): number | undefined
export function millis(timestamp: string | undefined): number | undefined {
  return timestamp === undefined ? undefined : Date.parse(timestamp)
}

/** Relative time in its largest unit, in the words of the platform: `12 seconds ago`. */
export function ago(milliseconds: number, locale: string): string {
  const format = new Intl.RelativeTimeFormat(locale, { numeric: 'auto', style: 'short' })
  const ms = Math.max(0, milliseconds)
  if (ms < minute) return format.format(-Math.floor(ms / second), 'second')
  if (ms < hour) return format.format(-Math.floor(ms / minute), 'minute')
  if (ms < day) return format.format(-Math.floor(ms / hour), 'hour')
  return format.format(-Math.floor(ms / day), 'day')
}

/** As `ago`, of what is to come: `in 3 hr.` */
export function ahead(milliseconds: number, locale: string): string {
  const format = new Intl.RelativeTimeFormat(locale, { numeric: 'auto', style: 'short' })
  const ms = Math.max(0, milliseconds)
  if (ms < minute) return format.format(Math.floor(ms / second), 'second')
  if (ms < hour) return format.format(Math.floor(ms / minute), 'minute')
  if (ms < day) return format.format(Math.floor(ms / hour), 'hour')
  return format.format(Math.floor(ms / day), 'day')
}

/** A point in time for a list: the time of day if it is today, the date otherwise. */
export function moment(timestamp: string, now: number, locale: string): string {
  const date = new Date(timestamp)
  const isToday = new Date(now).toDateString() === date.toDateString()
  const options: Intl.DateTimeFormatOptions = isToday
    ? { hour: '2-digit', minute: '2-digit', second: '2-digit' }
    : { month: 'short', day: 'numeric', hour: '2-digit', minute: '2-digit' }
  return new Intl.DateTimeFormat(locale, { ...options, hourCycle: 'h23' }).format(date)
}
