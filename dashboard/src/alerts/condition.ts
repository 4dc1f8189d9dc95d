import type { AlertCondition } from '@relive/types'

import { cost } from '../format/number'
import type { MoreText } from '../i18n/more-en'

/** What the form of an alert holds: every field of every condition, as texts. */
export interface ConditionFields {
  readonly type: AlertCondition['type']
  readonly count: string
  readonly withinMinutes: string
  readonly factor: string
  readonly minimumRuns: string
  readonly usdPerDay: string
}

/** As in docs/alerts.md. */
const defaults = { factor: 1, minimumRuns: 20 }

const usual: ConditionFields = {
  type: 'failures',
  count: '3',
  withinMinutes: '10',
  factor: String(defaults.factor),
  minimumRuns: String(defaults.minimumRuns),
  usdPerDay: '25',
}

export function fieldsOf(condition: AlertCondition | undefined): ConditionFields {
  const given = Object.entries(condition ?? {}).map(([name, value]) => [name, String(value)])
  return { ...usual, ...(Object.fromEntries(given) as Partial<ConditionFields>) }
}

/** `undefined` while a number is missing; the server says what else is wrong with one. */
export function conditionOf(fields: ConditionFields): AlertCondition | undefined {
  const number = (name: keyof ConditionFields) => (fields[name].trim() === '' ? Number.NaN : Number(fields[name]))
  const complete = (condition: AlertCondition) =>
    Object.values(condition).some((value) => Number.isNaN(value)) ? undefined : condition
  switch (fields.type) {
    case 'failures':
      return complete({ type: 'failures', count: number('count'), withinMinutes: number('withinMinutes') })
    case 'slowRun':
      return complete({ type: 'slowRun', factor: number('factor'), minimumRuns: number('minimumRuns') })
    case 'budget':
      return complete({ type: 'budget', usdPerDay: number('usdPerDay') })
  }
}

export function conditionText(condition: AlertCondition, m: MoreText): string {
  switch (condition.type) {
    case 'failures':
      return m.ofFailures(condition.count, condition.withinMinutes)
    case 'slowRun': {
      const { factor = defaults.factor, minimumRuns = defaults.minimumRuns } = condition
      return `${m.ofSlowRun(factor)}, ${m.ofRuns(minimumRuns)}`
    }
    case 'budget':
      return m.ofBudget(cost(condition.usdPerDay))
  }
}

/** Addresses as they are written down, in one field. */
export function addressesIn(text: string): string[] {
  return text.split(/[\s,;]+/).filter((address) => address !== '')
}
