import { useId } from 'react'

import { useText } from '../i18n/text'

export interface Score {
  round: number
  score: number
}

const size = { width: 340, height: 132, left: 30, right: 12, top: 12, bottom: 22 }

/** Only what can be drawn; context data is whatever an engine wrote. */
export function readScores(history: unknown): readonly Score[] {
  if (!Array.isArray(history)) return []
  return history.filter((entry: unknown): entry is Score => {
    if (typeof entry !== 'object' || entry === null) return false
    const { round, score } = entry as Partial<Record<'round' | 'score', unknown>>
    return Number.isFinite(round) && Number.isFinite(score)
  })
}

/** Round values around what was scored, so that a small gain is seen for what it is. */
export function scoreRange(scores: readonly Score[]): readonly [number, number] {
  const values = scores.map(({ score }) => score)
  const [least, most] = [Math.min(...values), Math.max(...values)]
  if (least >= 0 && most <= 1) return [0, 1]
  if (least >= 0 && most <= 10 && most > 1) return [0, 10]
  const step = Math.max(least >= 0 && most <= 100 ? 10 : 1, 10 ** Math.floor(Math.log10(Math.max(1, most - least))))
  const low = Math.floor(least / step - 0.5) * step
  const high = Math.ceil(most / step + 0.5) * step
  return least >= 0 && most <= 100 ? [Math.max(0, low), Math.min(100, high)] : [low, high]
}

/** The score of each round, as a line. The same figures stand below it as a table for those who do not see it. */
export function ScoreChart({ scores }: { scores: readonly Score[] }) {
  const t = useText()
  const fill = useId()
  if (scores.length === 0) return null
  const [low, high] = scoreRange(scores)
  const x = (index: number) => size.left + (scores.length === 1 ? 0.5 : index / (scores.length - 1)) * (size.width - size.left - size.right)
  const y = (score: number) => size.top + (1 - (score - low) / (high - low || 1)) * (size.height - size.top - size.bottom)
  const points = scores.map(({ score }, index) => `${x(index).toFixed(1)} ${y(score).toFixed(1)}`)
  const floor = size.height - size.bottom
  const every = Math.ceil(scores.length / 8)
  const last = scores.at(-1)
  return (
    <figure className="score-chart num">
      <svg viewBox={`0 0 ${size.width} ${size.height}`} role="img" aria-label={`${t.scores}: ${scores.map(({ round, score }) => `${t.round(round)} ${score}`).join(', ')}`}>
        <defs>
          <linearGradient id={fill} x1="0" x2="0" y1="0" y2="1">
            <stop offset="0" className="score-fill-top" />
            <stop offset="1" className="score-fill-bottom" />
          </linearGradient>
        </defs>
        {[low, (low + high) / 2, high].map((value) => (
          <g key={value}>
            <line className="score-grid" x1={size.left} x2={size.width - size.right} y1={y(value)} y2={y(value)} />
            <text className="score-label" x={size.left - 6} y={y(value) + 3.5} textAnchor="end">
              {Math.round(value * 100) / 100}
            </text>
          </g>
        ))}
        {scores.length > 1 && <path fill={`url(#${fill})`} d={`M${points.join('L')}L${x(scores.length - 1)} ${floor}L${x(0)} ${floor}Z`} />}
        {scores.length > 1 && <path className="score-line" d={`M${points.join('L')}`} />}
        {scores.map(({ round, score }, index) => (
          <g key={index}>
            <circle className="score-point" cx={x(index)} cy={y(score)} r="3.2" />
            {(index % every === 0 || index === scores.length - 1) && (
              <text className="score-label" x={x(index)} y={size.height - 7} textAnchor="middle">
                {round}
              </text>
            )}
          </g>
        ))}
        {last !== undefined && (
          <text className="score-last" x={Math.min(x(scores.length - 1), size.width - size.right)} y={Math.max(10, y(last.score) - 8)} textAnchor="end">
            {last.score}
          </text>
        )}
      </svg>
    </figure>
  )
}
