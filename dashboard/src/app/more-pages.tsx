import type { ComponentType } from 'react'

import { useText } from '../i18n/text'
import type { MorePlace, MorePage as Name, PageOptions } from './more-address'
import { type OnDemand, onDemand, useOnDemand } from './on-demand'

type Code = OnDemand<ComponentType<{ options: PageOptions }>>

const pages: Record<Name, Code> = {
  overview: onDemand(async () => (await import('../overview/overview-page')).OverviewPage),
  workflows: onDemand(async () => (await import('../catalog/workflows-page')).WorkflowsPage),
  agents: onDemand(async () => (await import('../catalog/agents-page')).AgentsPage),
  groups: onDemand(async () => (await import('../catalog/groups-page')).GroupsPage),
  memories: onDemand(async () => (await import('../memories/memories-page')).MemoriesPage),
  schedules: onDemand(async () => (await import('../schedules/schedules-page')).SchedulesPage),
  webhooks: onDemand(async () => (await import('../webhooks/webhooks-page')).WebhooksPage),
  alerts: onDemand(async () => (await import('../alerts/alerts-page')).AlertsPage),
  retention: onDemand(async () => (await import('../retention/retention-page')).RetentionPage),
  compare: onDemand(async () => (await import('../compare-runs/compare-page')).ComparePage),
}

/** A page that is loaded when it is first opened. */
export function MorePage({ place }: { place: MorePlace }) {
  const t = useText()
  const Page = useOnDemand(pages[place.page])
  return Page === undefined ? <p className="page-loading">{t.loading}</p> : <Page options={place.options} />
}
