import { Cron } from 'croner'
import cronstrue from 'cronstrue'
import 'cronstrue/locales/zh_CN'

export interface Explained {
  /** In words; `undefined` where there are none for it, as of `@daily`. */
  readonly words: string | undefined
  /** The next times, milliseconds since 1970. */
  readonly next: readonly number[]
}

const timesShown = 5

/**
 * What an expression means, and when it is next due, by the rules of the server (croner too): five or six fields, of
 * which six begin with the second. `undefined`: it is not one. The server decides.
 */
export function explainCron(expression: string, timezone: string, locale: string, now: Date): Explained | undefined {
  try {
    const cron = new Cron(expression.trim(), { timezone, paused: true, mode: '5-or-6-parts' })
    const next = cron.nextRuns(timesShown, now).map((time) => time.getTime())
    return { words: wordsOf(expression.trim(), locale), next }
  } catch {
    return undefined
  }
}

function wordsOf(expression: string, locale: string): string | undefined {
  try {
    const options = {
      use24HourTimeFormat: true,
      dayOfWeekStartIndexZero: true,
      locale: locale.startsWith('zh') ? 'zh_CN' : 'en',
    }
    return cronstrue.toString(expression, options)
  } catch {
    return undefined
  }
}

/** The names of time zones that the browser knows. */
export function timezones(): readonly string[] {
  return ['UTC', ...Intl.supportedValuesOf('timeZone').filter((name) => name !== 'UTC')]
}

export function isTimezone(name: string): boolean {
  try {
    new Intl.DateTimeFormat('en', { timeZone: name })
    return true
  } catch {
    return false
  }
}
