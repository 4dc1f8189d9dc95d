import { expect, test } from 'vitest'

import { readScores, scoreRange } from './scores'

test('whatever an engine wrote, only scores are drawn', () => {
  expect(readScores(undefined)).toEqual([])
  expect(readScores('80')).toEqual([])
  expect(
    readScores([
      { round: 1, score: 80 },
      { round: 2 },
      null,
      { round: 3, score: Number.NaN },
      { round: 4, score: '9' },
    ]),
  ).toEqual([{ round: 1, score: 80 }])
})

test('the range is round, holds every score and is never empty', () => {
  for (const scores of [[64], [64, 86], [0.2, 0.9], [7, 9], [0, 0], [-40, 120], [99, 100], [1200, 5000]]) {
    const [low, high] = scoreRange(scores.map((score, round) => ({ round, score })))
    expect(low).toBeLessThanOrEqual(Math.min(...scores))
    expect(high).toBeGreaterThanOrEqual(Math.max(...scores))
    expect(high).toBeGreaterThan(low)
  }
})
