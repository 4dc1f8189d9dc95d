import { useMemo } from 'react'

import { EditForkButton } from '../again/edit-fork-on-demand'
import { cost, count } from '../format/number'
import { useText } from '../i18n/text'
import { useSession } from '../session/session-context'
import { shownSession } from '../session/state'
import { ScoreChart } from './score-chart'
import { readScores } from './scores'
import { UsageTable } from './usage-table'
import { ValueView } from './value-view'

/** The context of the run at this moment: scores, context data, and cost. */
export function ContextPanel() {
  const t = useText()
  const data = useSession((state) => shownSession(state)?.contextData)
  const scores = useMemo(() => readScores(data?.score_history), [data])
  const others = Object.entries(data ?? {}).filter(([key]) => key !== 'score_history' || scores.length === 0)
  return (
    <div className="context-panel scroll" tabIndex={0} role="region" aria-label={t.context}>
      {scores.length > 0 && (
        <section>
          <h2 className="section">{t.scores}</h2>
          <ScoreChart scores={scores} />
        </section>
      )}
      <section>
        <h2 className="section">{t.context}</h2>
        {others.length === 0 && scores.length === 0 && <p className="faint">{t.noContext}</p>}
        <dl className="context-data">
          {others.map(([key, value]) => (
            <div key={key}>
              <dt>
                {key} <EditForkButton first={{ kind: 'context', key }} />
              </dt>
              <dd>
                <ValueView value={value} />
              </dd>
            </div>
          ))}
        </dl>
      </section>
      <Totals />
    </div>
  )
}

function Totals() {
  const t = useText()
  const session = useSession(shownSession)
  const usage = useSession((state) => state.usage)
  const isLive = useSession((state) => state.replay === undefined)
  if (session === undefined || (session.totalTokens === 0 && session.totalCostUsd === 0)) return null
  return (
    <section>
      <h2 className="section">{t.totals}</h2>
      {/* The usage report is current; of an earlier moment only the totals in the state are known. */}
      <UsageTable of={t.model} rows={isLive ? usage?.byModel : undefined} total={isLive ? usage?.total : undefined}>
        <tr className="total">
          <th scope="row">{t.total}</th>
          <td colSpan={2}>{count(session.totalTokens)}</td>
          <td>{cost(session.totalCostUsd)}</td>
        </tr>
      </UsageTable>
    </section>
  )
}
