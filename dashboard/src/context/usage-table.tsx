import type { Usage } from '@relive/types'
import type { ReactNode } from 'react'

import { cost, count } from '../format/number'
import { useText } from '../i18n/text'

interface UsageTableProps {
  /** What the rows are of. */
  of: string
  rows: Readonly<Record<string, Usage>> | undefined
  total?: Usage | undefined
  /** The last row, where there is no total. */
  children?: ReactNode
}

/** Tokens and cost by something, the most expensive first. */
export function UsageTable({ of, rows, total, children }: UsageTableProps) {
  const t = useText()
  const weight = ({ costUsd, inputTokens, outputTokens }: Usage) => (costUsd ?? 0) * 1e9 + inputTokens + outputTokens
  const ordered = Object.entries(rows ?? {}).sort(([, a], [, b]) => weight(b) - weight(a))
  return (
    <table className="usage num">
      <thead>
        <tr>
          <th scope="col">{of}</th>
          <th scope="col">{t.inputTokens}</th>
          <th scope="col">{t.outputTokens}</th>
          <th scope="col">{t.cost}</th>
        </tr>
      </thead>
      <tbody>
        {ordered.map(([name, usage]) => (
          <UsageRow key={name} name={name} usage={usage} />
        ))}
        {total === undefined ? children : <UsageRow name={t.total} usage={total} isTotal />}
      </tbody>
    </table>
  )
}

function UsageRow({ name, usage, isTotal = false }: { name: string; usage: Usage; isTotal?: boolean }) {
  return (
    <tr className={isTotal ? 'total' : undefined}>
      <th scope="row">{name}</th>
      <td>{count(usage.inputTokens)}</td>
      <td>{count(usage.outputTokens)}</td>
      <td>{usage.costUsd === undefined ? '' : cost(usage.costUsd)}</td>
    </tr>
  )
}
