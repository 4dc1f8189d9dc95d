import type { Usage } from '@relive/types'
import type { ReactNode } from 'react'

import { AgainButtons } from '../again/again'
import { EditForkButton } from '../again/edit-fork-on-demand'
import { UsageTable } from '../context/usage-table'
import { ValueView } from '../context/value-view'
import { moment } from '../format/time'
import { useText } from '../i18n/text'
import { LazyMarkdown } from '../markdown/lazy-markdown'
import { nodeName } from '../node/instances'
import { selectNode } from '../session/selection'
import { useReadableSession, useSession } from '../session/session-context'
import { shownSession } from '../session/state'
import { failedNode } from './failed'
import { useEntity } from './use-entity'

/** The run as a whole: why it failed, what it was given, what it is about and what it put out, and what it cost. */
export function RunPanel() {
  const t = useText()
  const entity = useEntity()
  const isReplay = useSession((state) => state.replay !== undefined)
  const session = useReadableSession(shownSession)
  return (
    <div className="run-panel scroll" tabIndex={0} role="region" aria-label={t.run}>
      <Failure />
      <AgainButtons />
      {isReplay && <p className="faint">{t.ofNow}</p>}
      <Value title={t.inputs} value={entity?.inputs} none={entity && t.noInputs} />
      <Value title={t.proposal} value={entity?.proposal} none={entity && t.noProposal}>
        <EditForkButton first={{ kind: 'proposal' }} />
      </Value>
      <Value title={t.outputs} value={entity?.outputs} none={entity && t.noOutputs} />
      <Facts />
      {session?.metadata !== undefined && <Value title={t.metadata} value={session.metadata} none={undefined} />}
      <Costs />
    </div>
  )
}

function Failure() {
  const t = useText()
  const error = useSession((state) => shownSession(state)?.error)
  const failed = useReadableSession((state) => failedNode(shownSession(state))?.id)
  const hasFailed = useSession((state) => shownSession(state)?.status === 'failed')
  const name = useSession((state) => (failed === undefined ? '' : nodeName(failed, shownSession(state), state.graph)))
  if (error === undefined && !hasFailed) return null
  return (
    <section>
      <h2 className="section">{t.error}</h2>
      {error !== undefined && (
        <pre className="error-text" tabIndex={0}>
          {error}
        </pre>
      )}
      {failed !== undefined && (
        <button type="button" className="to-failed" onClick={() => selectNode(failed, 'panel')}>
          {t.toFailedNode(name)}
        </button>
      )}
    </section>
  )
}

interface ValueProps {
  title: string
  value: unknown
  none: string | undefined
  /** What can be done with it. */
  children?: ReactNode
}

function Value({ title, value, none, children }: ValueProps) {
  const isNone = value === undefined || value === null
  if (isNone && none === undefined) return null
  return (
    <section>
      <h2 className="section">{title}</h2>
      {!isNone && children}
      {isNone && <p className="faint">{none}</p>}
      {typeof value === 'string' && <LazyMarkdown text={value} />}
      {!isNone && typeof value !== 'string' && <ValueView value={value} />}
    </section>
  )
}

function Facts() {
  const t = useText()
  const by = useSession((state) => state.createdBy?.name)
  const createdAt = useSession((state) => state.live?.createdAt)
  const tags = useSession((state) => state.live?.tags)
  if (createdAt === undefined) return null
  return (
    <dl className="facts num">
      <Fact name={t.created}>{moment(createdAt, Date.now(), t.locale)}</Fact>
      {by !== undefined && <Fact name={t.createdBy}>{by}</Fact>}
      {tags !== undefined && tags.length > 0 && <Fact name={t.tags}>{tags.join(', ')}</Fact>}
    </dl>
  )
}

function Fact({ name, children }: { name: string; children: ReactNode }) {
  return (
    <div>
      <dt>{name}</dt>
      <dd>{children}</dd>
    </div>
  )
}

/** The report is of now, as the costs of earlier moments are not kept by model and agent. */
function Costs() {
  const t = useText()
  const usage = useSession((state) => state.usage)
  const isLive = useSession((state) => state.replay === undefined)
  if (usage === undefined || !isLive || usage.total.calls === 0) return null
  const parts: [string, string, Readonly<Record<string, Usage>>][] = [
    [t.byModel, t.model, usage.byModel],
    [t.byAgent, t.agent, usage.byAgent],
  ]
  return parts
    .filter(([, , rows]) => Object.keys(rows).length > 0)
    .map(([title, of, rows]) => (
      <section key={title}>
        <h2 className="section">{title}</h2>
        <UsageTable of={of} rows={rows} total={usage.total} />
      </section>
    ))
}
