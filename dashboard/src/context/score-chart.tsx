import { useId } from 'react'

import { useText } from '../i18n/text'
import { type Score, scoreRange } from './scores'

const size = { width: 340, height: 132, left: 30, right: 12, top: 12, bottom: 22 }

/** The score of each round, as a line. A table with the same figures follows for screen readers. */
export function ScoreChart({ scores }: { scores: readonly Score[] }) {
  const t = useText()
  const fill = useId()
  if (scores.length === 0) return null
  const [low, high] = scoreRange(scores)
  const x = (index: number) =>
    size.left + (scores.length === 1 ? 0.5 : index / (scores.length - 1)) * (size.width - size.left - size.right)
  const y = (score: number) =>
    size.top + (1 - (score - low) / (high - low || 1)) * (size.height - size.top - size.bottom)
  const points = scores.map(({ score }, index) => `${x(index).toFixed(1)} ${y(score).toFixed(1)}`)
  const floor = size.height - size.bottom
  const every = Math.ceil(scores.length / 8)
  const last = scores.at(-1)
  return (
    <figure className="score-chart num">
      <svg
        viewBox={`0 0 ${size.width} ${size.height}`}
        role="img"
        aria-label={`${t.scores}: ${scores.map(({ round, score }) => `${t.round(round)} ${score}`).join(', ')}`}
      >
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
        {scores.length > 1 && (
          <path fill={`url(#${fill})`} d={`M${points.join('L')}L${x(scores.length - 1)} ${floor}L${x(0)} ${floor}Z`} />
        )}
        {scores.length > 1 && <path className="score-line" d={`M${points.join('L')}`} />}
        {scores.map(({ round, score }, index) => (
          // biome-ignore lint/suspicious/noArrayIndexKey: scores are only added, at the end.
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
          <text
            className="score-last"
            x={Math.min(x(scores.length - 1), size.width - size.right)}
            y={Math.max(10, y(last.score) - 8)}
            textAnchor="end"
          >
            {last.score}
          </text>
        )}
      </svg>
    </figure>
  )
}
