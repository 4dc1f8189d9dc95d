export interface Score {
  round: number
  score: number
}

/** Only entries that can be drawn: engines may write anything into the context data. */
export function readScores(history: unknown): readonly Score[] {
  if (!Array.isArray(history)) return []
  return history.filter((entry: unknown): entry is Score => {
    if (typeof entry !== 'object' || entry === null) return false
    const { round, score } = entry as Partial<Record<'round' | 'score', unknown>>
    return Number.isFinite(round) && Number.isFinite(score)
  })
}

/** Round axis limits around the scores, so that small differences are visible. */
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
