import { AxeBuilder } from '@axe-core/playwright'
import type { Page } from '@playwright/test'

/** Rules that axe leaves out unless they are asked for. */
const rules = { 'target-size': { enabled: true }, 'label-content-name-mismatch': { enabled: true } }

/** Everything that axe finds, of any weight, rules of good practice among them. */
export async function violations(page: Page): Promise<string[]> {
  const { violations } = await new AxeBuilder({ page }).options({ rules }).analyze()
  return violations.flatMap(({ id, nodes }) =>
    nodes.map(({ html, failureSummary }) => `${id}: ${html.slice(0, 160)}\n${failureSummary ?? ''}`),
  )
}
